-- Returns {version, entry ...}: what was added after a version and is in force.
-- KEYS: entries by when they end (ms), entries by version, the version. ARGV: version, how many.
for number = 1, 2 do
  local kind = redis.call("TYPE", KEYS[number]).ok
  if kind ~= "zset" and kind ~= "none" then
    return {0}
  end
end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local since = tonumber(ARGV[1])
local found = redis.call(
  "ZRANGEBYSCORE", KEYS[2], "(" .. ARGV[1], "+inf", "WITHSCORES", "LIMIT", 0, ARGV[2]
)
local answer = {since}
for number = 1, #found, 2 do
  answer[1] = tonumber(found[number + 1])
  local ends = redis.call("ZSCORE", KEYS[1], found[number])
  if ends and tonumber(ends) > now then
    answer[#answer + 1] = found[number]
  end
end
return answer
