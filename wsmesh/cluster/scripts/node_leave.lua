-- Takes a node that stops on purpose out of the membership; this incarnation does not come back.
-- KEYS: nodes, leases, dead, version, cleanup
-- ARGV: node/incarnation
if redis.call("ZREM", KEYS[2], ARGV[1]) == 0 then
  return 0
end
redis.call("HDEL", KEYS[1], ARGV[1])
local time = redis.call("TIME")
redis.call("ZADD", KEYS[3], time[1] * 1000, ARGV[1])
redis.call("SADD", KEYS[5], ARGV[1])
return redis.call("INCR", KEYS[4])
