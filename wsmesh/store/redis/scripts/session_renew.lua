-- Keeps a session. A lower epoch than the owner's is a fail-over that lost its claim: it is set.
-- KEYS: session. ARGV: epoch, lifetime (ms). Returns 1, 0 when fenced, -1 when it is not known.
if redis.call("TYPE", KEYS[1]).ok ~= "hash" then
  return -1
end
local epoch = tonumber(redis.call("HGET", KEYS[1], "epoch") or "0") or 0
if epoch > tonumber(ARGV[1]) then
  return 0
end
if epoch < tonumber(ARGV[1]) then
  redis.call("HSET", KEYS[1], "epoch", ARGV[1])
end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1
