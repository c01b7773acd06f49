-- Returns the membership without changing it, as node_beat does, without the first element.
-- KEYS: nodes, leases, dead, version, cleanup
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local records = redis.call("HGETALL", KEYS[1])
local members = {}
for i = 1, #records, 2 do
  local deadline = redis.call("ZSCORE", KEYS[2], records[i])
  if deadline then
    members[#members + 1] = records[i]
    members[#members + 1] = records[i + 1]
    members[#members + 1] = math.floor(deadline - now)
  end
end
local dead = redis.call("ZRANGE", KEYS[3], 0, -1)
local remains = redis.call("SMEMBERS", KEYS[5])
return {tonumber(redis.call("GET", KEYS[4]) or "0"), members, dead, remains}
