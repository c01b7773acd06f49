-- What is known about a channel's stream: a hash of epoch (e), top offset (s), replication history
-- (r) and last version (v, ve). Put in front of the scripts that use it.

-- The history of writes that this server continues: another one after a fail-over or a restart,
-- when the end of a stream may have been lost and its offsets given out again.
local function replication_history()
  return string.match(redis.call("INFO", "replication"), "master_replid:(%x+)")
end

local function is_wrong_type(reply)
  return type(reply) == "table" and reply.err ~= nil and string.find(reply.err, "WRONGTYPE", 1, true)
end

local function decimal(number)
  return string.format("%.0f", number)
end

-- Returns nil when the key holds something else, else a table: no epoch, there is no stream.
local function find_meta(key)
  local known = redis.pcall("HMGET", key, "e", "s", "r", "v", "ve")
  if is_wrong_type(known) then
    return nil
  elseif known.err then
    error(known)
  elseif not known[1] and not known[2] and not known[3] then
    if redis.call("EXISTS", key) == 1 then
      return nil
    end
    return {top = 0, is_changed = true, why = 0}
  end
  local top = string.match(known[2] or "", "^%d+$") and tonumber(known[2])
  if not top or top >= 2 ^ 53 or not string.match(known[1] or "", "^%w+$") or not known[3] then
    return nil
  end
  return {epoch = known[1], top = top, history = known[3], version = known[4] or "0",
    version_epoch = known[5] or "", why = 0}
end

-- Gives the stream another epoch when offsets may have been given out twice: `why` is 2 when the
-- history of writes is another one, 4 when somebody knows of a higher offset in this epoch.
local function check_meta(meta, history, fresh, known_epoch, known_offset)
  if not meta.epoch then
    meta.epoch = fresh
  elseif meta.history ~= history then
    meta.epoch, meta.why, meta.is_changed = fresh, 2, true
  elseif meta.epoch == known_epoch and meta.top < tonumber(known_offset) then
    meta.epoch, meta.why, meta.is_changed = fresh, 4, true
  end
  meta.history = history
end
