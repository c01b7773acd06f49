-- Counts a connection of a user, unless that has as many as it may.
-- KEYS: the user's connections, a sorted set of "owner client" by when they count no more (ms).
-- ARGV: owner, client, limit, lifetime (ms), owners whose connections count no more ...
-- Returns {1 or 0, owners of those that were there ...}.
if redis.call("TYPE", KEYS[1]).ok ~= "zset" then
  redis.call("DEL", KEYS[1])
end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
local gone = {}
for number = 5, #ARGV do
  gone[ARGV[number]] = true
end
local own = ARGV[1] .. " " .. ARGV[2]
local owners, seen, counted = {}, {}, 0
for _, member in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
  local owner = string.match(member, "^(%S*) ") or ""
  if gone[owner] then
    redis.call("ZREM", KEYS[1], member)
  elseif member ~= own then
    counted = counted + 1
    if not seen[owner] then
      seen[owner] = true
      owners[#owners + 1] = owner
    end
  end
end
if counted >= tonumber(ARGV[3]) then
  return {0, unpack(owners)}
end
redis.call("ZADD", KEYS[1], now + ARGV[4], own)
redis.call("PEXPIRE", KEYS[1], ARGV[4])
return {1, unpack(owners)}
