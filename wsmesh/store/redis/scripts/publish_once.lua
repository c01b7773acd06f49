-- Fans a publication out that is not kept, unless its idempotency key was used.
-- KEYS: outcome, shard channel. ARGV: envelope, lifetime of the outcome (ms)
-- Returns {flags, offset, epoch} as publish does.
local outcome = redis.pcall("GET", KEYS[1])
if type(outcome) == "table" and outcome.err then
  if string.find(outcome.err, "WRONGTYPE", 1, true) then
    return {-1, 1}
  end
  return outcome
end
if outcome then
  local offset, epoch = string.match(outcome, "^(%d+) (%w*)$")
  if not offset then
    return {-1, 1}
  end
  return {1, tonumber(offset), epoch}
end
redis.call("SET", KEYS[1], "0 ", "PX", ARGV[2])
redis.call("SPUBLISH", KEYS[2], ARGV[1])
return {0, 0, ""}
