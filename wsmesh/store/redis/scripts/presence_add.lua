-- Records or renews that a client is in a channel.
-- KEYS: entries, until when, members of the owner
-- ARGV: client, owner, info, lifetime (ms), name of the member
-- Returns {1}, or {-1, number of the key that holds something else}.
local wrong = find_wrong({"hash", "zset", "set"})
if wrong then
  return {-1, wrong}
end
local now = now_in_ms()
drop_expired(now, 500)
local known = redis.call("HGET", KEYS[1], ARGV[1])
local leaves = known and string.match(known, "^[^\n]*\n(%d)") or "0"
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2] .. "\n" .. leaves .. ARGV[3])
redis.call("ZADD", KEYS[2], now + ARGV[4], ARGV[1])
redis.call("SADD", KEYS[3], ARGV[5])
for _, key in ipairs(KEYS) do
  outlast(key, ARGV[4])
end
return {1}
