-- Renews a node's lease, unless there is none to renew, and returns the whole membership.
-- KEYS: nodes, leases, dead, version, cleanup, releases
-- ARGV: node/incarnation or "", record, lease (ms), 1 when the record's standing part has changed
-- Returns {"dead"} when this incarnation was declared dead, else
--   {"alive", version, {node/incarnation, record, lease left (ms), ...}, the dead of the last
--   hour, the dead whose remains have to be cleaned up, {release, share, ...}}; the dead as
--   {node/incarnation, ...}.
local TOMBSTONES_MS = 3600000
if redis.call("ZSCORE", KEYS[3], ARGV[1]) then
  return {"dead"}
end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Begins at the time, so that a registry that lost everything never repeats a version.
if not tonumber(redis.call("GET", KEYS[4]) or "") then
  redis.call("SET", KEYS[4], now)
end
if ARGV[1] ~= "" then
  local is_new = redis.call("ZADD", KEYS[2], now + ARGV[3], ARGV[1])
  redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
  if is_new == 1 or ARGV[4] == "1" then
    redis.call("INCR", KEYS[4])
  end
end
redis.call("ZREMRANGEBYSCORE", KEYS[3], "-inf", now - TOMBSTONES_MS)
local records = redis.call("HGETALL", KEYS[1])
local members = {}
for i = 1, #records, 2 do
  local deadline = redis.call("ZSCORE", KEYS[2], records[i])
  if deadline then
    members[#members + 1] = records[i]
    members[#members + 1] = records[i + 1]
    members[#members + 1] = math.floor(deadline - now)
  else
    redis.call("HDEL", KEYS[1], records[i])
  end
end
local dead = redis.call("ZRANGE", KEYS[3], 0, -1)
local remains = redis.call("SMEMBERS", KEYS[5])
return {"alive", tonumber(redis.call("GET", KEYS[4])), members, dead, remains,
        redis.call("HGETALL", KEYS[6])}
