-- Counts connections of a user no more.
-- KEYS: the user's connections. ARGV: "owner client" ...
if redis.call("TYPE", KEYS[1]).ok == "zset" then
  redis.call("ZREM", KEYS[1], unpack(ARGV))
end
