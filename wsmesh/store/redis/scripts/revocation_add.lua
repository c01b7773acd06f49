-- Keeps what is revoked until it may be forgotten.
-- KEYS: entries by when they end (ms), entries by version, the version.
-- ARGV: entry, when it ends (ms), how many at most. Returns the version, or 0: there are too many.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for number = 1, 2 do
  local kind = redis.call("TYPE", KEYS[number]).ok
  if kind ~= "zset" and kind ~= "none" then
    redis.call("DEL", KEYS[1], KEYS[2])
  end
end
local held = redis.call("TYPE", KEYS[3]).ok == "string" and redis.call("GET", KEYS[3])
if not held or not tonumber(held) then
  redis.call("DEL", KEYS[3])
end
for _, entry in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now)) do
  redis.call("ZREM", KEYS[2], entry)
end
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
local known = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not known and redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[3]) then
  return 0
end
-- Never below a version that somebody has seen before this server lost its memory.
local version = math.max(redis.call("INCR", KEYS[3]), now)
redis.call("SET", KEYS[3], string.format("%.0f", version))
redis.call("ZADD", KEYS[1], ARGV[2], ARGV[1])
redis.call("ZADD", KEYS[2], version, ARGV[1])
return version
