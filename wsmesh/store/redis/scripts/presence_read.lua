-- Says who is in a channel.
-- KEYS: entries, until when
-- Returns {1, client, entry, client, entry, ...}, or {-1, number of the key that holds something else}.
local wrong = find_wrong({"hash", "zset"})
if wrong then
  return {-1, wrong}
end
drop_expired(now_in_ms(), math.huge)
local present = redis.call("HGETALL", KEYS[1])
table.insert(present, 1, 1)
return present
