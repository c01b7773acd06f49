-- Fans a join out, and remembers with the client's presence that its leaving is to be announced.
-- KEYS: entries, shard channel. ARGV: envelope, client
-- Returns {1}, or {-1, number of the key that holds something else}.
local known = redis.pcall("HGET", KEYS[1], ARGV[2])
if type(known) == "table" and known.err then
  if not string.find(known.err, "WRONGTYPE", 1, true) then
    return known
  end
  return {-1, 1}
end
if known then
  local owner, info = string.match(known, "^([^\n]*\n)%d(.*)$")
  if owner then
    redis.call("HSET", KEYS[1], ARGV[2], owner .. "1" .. info)
  end
end
redis.call("SPUBLISH", KEYS[2], ARGV[1])
return {1}
