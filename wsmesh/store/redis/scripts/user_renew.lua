-- Lets connections of a user count for longer, also when they were forgotten meanwhile.
-- KEYS: the user's connections. ARGV: lifetime (ms), "owner client" ...
if redis.call("TYPE", KEYS[1]).ok ~= "zset" then
  redis.call("DEL", KEYS[1])
end
local time = redis.call("TIME")
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1]
for number = 2, #ARGV do
  redis.call("ZADD", KEYS[1], ends, ARGV[number])
end
redis.call("PEXPIRE", KEYS[1], ARGV[1])
