-- Writes a session's entry unless a later epoch owns it.
-- KEYS: session. ARGV: epoch, digest, user, owner, record, lifetime (ms). Returns 1, 0 when fenced.
local kind = redis.call("TYPE", KEYS[1]).ok
if kind ~= "hash" and kind ~= "none" then
  redis.call("DEL", KEYS[1])
end
local epoch = tonumber(redis.call("HGET", KEYS[1], "epoch") or "0") or 0
if epoch > tonumber(ARGV[1]) then
  return 0
end
redis.call("HSET", KEYS[1], "epoch", ARGV[1], "digest", ARGV[2], "user", ARGV[3], "owner", ARGV[4],
  "record", ARGV[5])
redis.call("PEXPIRE", KEYS[1], ARGV[6])
return 1
