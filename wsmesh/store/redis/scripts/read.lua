-- Reads a channel's stream; a stream that is not there begins now.
-- KEYS: meta, stream
-- ARGV: epoch to take if one is needed, known epoch, known offset, lifetime of meta (ms; 0: leave
--   it, and begin no stream), mode, epoch and offset to start from ("" without), limit (-1: all)
-- Modes: recover (all that follows or nothing), forward, backward.
-- Returns {flags, top, epoch, found, entries}: flags as check_meta says, epoch "" without a stream, found 1, or 0 when the
-- start is not in the stream; or {-1, number of the key that holds something else}.
local meta = find_meta(KEYS[1])
if not meta then
  return {-1, 1}
end
local is_new = not meta.epoch
local lifetime = tonumber(ARGV[4])
if is_new and lifetime == 0 then
  return {0, 0, "", 0, {}}
end
check_meta(meta, replication_history(), ARGV[1], ARGV[2], ARGV[3])
if is_new then
  redis.call("UNLINK", KEYS[2])
end
if meta.is_changed then
  redis.call("HSET", KEYS[1], "s", decimal(meta.top), "e", meta.epoch, "r", meta.history)
end
if lifetime > 0 and redis.call("PTTL", KEYS[1]) < lifetime then
  redis.call("PEXPIRE", KEYS[1], lifetime)
end

local mode, start_epoch, start, limit = ARGV[5], ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local function answer(found, entries)
  return {meta.why, meta.top, meta.epoch, found, entries}
end
local function entries_of(...)
  local entries = redis.pcall(...)
  if entries.err then
    if not is_wrong_type(entries) then
      error(entries)
    end
    return nil
  end
  return entries
end

if mode == "recover" then
  local missing = meta.top - start
  local is_known = start_epoch == meta.epoch or (start_epoch == "" and start == 0)
  if not is_known or missing < 0 or missing > limit then
    return answer(0, {})
  elseif missing == 0 then
    return answer(1, {})
  end
  local entries = entries_of("XRANGE", KEYS[2], decimal(start + 1) .. "-0", "+", "COUNT", missing + 1)
  if not entries then
    return {-1, 2}
  end
  -- Offsets are given out once, so as many entries as offsets are all of them.
  if #entries ~= missing then
    return answer(0, {})
  end
  return answer(1, entries)
end

if start_epoch ~= "" and start_epoch ~= meta.epoch then
  return answer(0, {})
elseif limit == 0 then
  return answer(1, {})
end
local command = {"XRANGE", KEYS[2], "-", "+"}
if mode == "backward" then
  command[1], command[3], command[4] = "XREVRANGE", "+", "-"
  if start then
    if start <= 1 then
      return answer(1, {})
    end
    command[3] = decimal(start - 1) .. "-0"
  end
elseif start then
  command[3] = decimal(start + 1) .. "-0"
end
if limit > 0 then
  command[5], command[6] = "COUNT", limit
end
local entries = entries_of(unpack(command))
if not entries then
  return {-1, 2}
end
return answer(1, entries)
