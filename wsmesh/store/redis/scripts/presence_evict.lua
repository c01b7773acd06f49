-- Removes members of a dead owner from a channel and announces those that had announced their join.
-- KEYS: entries, until when, members of the owner, shard channel
-- ARGV: owner; client and name of the member, of each
-- Returns {number removed; client and info of each of them that had announced nothing}, or
-- {-1, number of the key that holds something else}.
local wrong = find_wrong({"hash", "zset", "set"})
if wrong then
  return {-1, wrong}
end
local removed, begins = {0}, ARGV[1] .. "\n"
for number = 2, #ARGV, 2 do
  local client = ARGV[number]
  local entry = redis.call("HGET", KEYS[1], client)
  -- The client may be back already, on another node.
  if entry and string.sub(entry, 1, #begins) == begins then
    redis.call("HDEL", KEYS[1], client)
    redis.call("ZREM", KEYS[2], client)
    removed[1] = removed[1] + 1
    local info = string.sub(entry, #begins + 2)
    if string.sub(entry, #begins + 1, #begins + 1) == "1" then
      redis.call("SPUBLISH", KEYS[4], "l " .. info)
    else
      table.insert(removed, client)
      table.insert(removed, info)
    end
  end
  redis.call("SREM", KEYS[3], ARGV[number + 1])
end
return removed
