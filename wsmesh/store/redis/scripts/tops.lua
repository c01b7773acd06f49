-- Says where streams of one partition are.
-- KEYS: meta of each. ARGV: epoch to take if one is needed; known epoch and known offset of each
-- Returns flags, top and epoch of each, in one list: flags as check_meta says, epoch "" when there
-- is no stream, flags -1 when the key holds something else.
local found = {}
local history = replication_history()
for number, key in ipairs(KEYS) do
  local meta = find_meta(key)
  local flags, top, epoch = -1, 0, ""
  if meta and not meta.epoch then
    flags = 0
  elseif meta then
    check_meta(meta, history, ARGV[1], ARGV[2 * number], ARGV[2 * number + 1])
    flags, top, epoch = meta.why, meta.top, meta.epoch
    if meta.is_changed then
      redis.call("HSET", key, "e", epoch, "r", history)
    end
  end
  found[3 * number - 2], found[3 * number - 1], found[3 * number] = flags, top, epoch
end
return found
