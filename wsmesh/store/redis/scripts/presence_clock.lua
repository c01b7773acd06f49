-- Presence of a channel: a hash of client -> entry and a sorted set of client -> the moment (ms,
-- the server's clock) until which the entry holds. An entry is the owner (the node's incarnation
-- that the client is connected to), a line break, 1 if its leaving is to be announced, else 0, and
-- the client's info. A set for each owner names its members, so that they can be found when it is
-- dead. Put in front of the scripts that use it.

local function now_in_ms()
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function outlast(key, lifetime)
  if redis.call("PTTL", key) < tonumber(lifetime) then
    redis.call("PEXPIRE", key, lifetime)
  end
end

-- Says which of these keys holds something else than it should, nil when none does.
local function find_wrong(kinds)
  for number, kind in ipairs(kinds) do
    local found = redis.call("TYPE", KEYS[number]).ok
    if found ~= kind and found ~= "none" then
      return number
    end
  end
end

local function drop_expired(now, most)
  local expired
  repeat
    expired = redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", now, "LIMIT", 0, 500)
    if #expired > 0 then
      redis.call("ZREM", KEYS[2], unpack(expired))
      redis.call("HDEL", KEYS[1], unpack(expired))
      most = most - #expired
    end
  until #expired < 500 or most <= 0
end
