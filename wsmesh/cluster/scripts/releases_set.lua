-- Sets which share of its weight each release has, and keeps what was set before.
-- KEYS: releases, releases before, version of the registry
-- ARGV: release, share, ...; none at all: what was set before, the two change places
local function read(key)
  return redis.call("HGETALL", key)
end
local now, wanted = read(KEYS[1]), ARGV
if #ARGV == 0 then
  wanted = read(KEYS[2])
end
redis.call("DEL", KEYS[1], KEYS[2])
if #wanted > 0 then
  redis.call("HSET", KEYS[1], unpack(wanted))
end
if #now > 0 then
  redis.call("HSET", KEYS[2], unpack(now))
end
if redis.call("EXISTS", KEYS[3]) == 1 then
  redis.call("INCR", KEYS[3])
end
return read(KEYS[1])
