-- Gives a session to another owner, in the next epoch and with a new secret.
-- KEYS: session. ARGV: digest, user, new owner, new digest, lifetime (ms)
-- Returns {epoch, previous owner, record}, or false when there is no such session for this user
-- with this secret.
local kind = redis.call("TYPE", KEYS[1]).ok
if kind ~= "hash" then
  return false
end
local known = redis.call("HMGET", KEYS[1], "digest", "user", "owner", "epoch", "record")
local epoch = tonumber(known[4] or "")
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] or not known[3] or not epoch or not known[5] then
  return false
end
redis.call("HSET", KEYS[1], "epoch", epoch + 1, "digest", ARGV[4], "owner", ARGV[3])
redis.call("PEXPIRE", KEYS[1], ARGV[5])
return {epoch + 1, known[3], known[5]}
