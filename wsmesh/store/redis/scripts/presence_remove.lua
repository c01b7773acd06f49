-- Records that a client left a channel.
-- KEYS: entries, until when, members of the owner. ARGV: client, name of the member
-- Returns {1}, or {-1, number of the key that holds something else}.
local wrong = find_wrong({"hash", "zset", "set"})
if wrong then
  return {-1, wrong}
end
redis.call("HDEL", KEYS[1], ARGV[1])
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("SREM", KEYS[3], ARGV[2])
return {1}
