-- Withdraws an accusation.
-- KEYS: accusations
-- ARGV: accused (node/incarnation), accuser (node/incarnation)
return redis.call("ZREM", KEYS[1], ARGV[1] .. "|" .. ARGV[2])
