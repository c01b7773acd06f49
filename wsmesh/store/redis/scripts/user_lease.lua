-- Takes messages out of what a user may send (the generic cell rate algorithm).
-- KEYS: the theoretical arrival time (us). ARGV: interval (us), tolerance (us), how many at most.
-- Returns {granted, us until there is one when none is}.
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
if redis.call("TYPE", KEYS[1]).ok ~= "string" then
  redis.call("DEL", KEYS[1])
end
local start = math.max(tonumber(redis.call("GET", KEYS[1]) or "") or 0, now)
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local count = math.min(tonumber(ARGV[3]), math.floor((now + tolerance - start) / interval) + 1)
if count < 1 then
  return {0, math.ceil(start - now - tolerance)}
end
start = start + count * interval
local life = math.ceil((start - now) / 1000) + 1
redis.call("SET", KEYS[1], string.format("%.0f", start), "PX", string.format("%.0f", life))
return {count, 0}
