-- Forgets a session unless a later epoch owns it.
-- KEYS: session. ARGV: epoch
if redis.call("TYPE", KEYS[1]).ok ~= "hash" then
  return 0
end
local epoch = tonumber(redis.call("HGET", KEYS[1], "epoch") or "0") or 0
if epoch > tonumber(ARGV[1]) then
  return 0
end
return redis.call("DEL", KEYS[1])
