-- Appends a publication to a channel's stream and fans it out, or does neither.
-- KEYS: meta, stream, shard channel, outcome of the idempotency key (left out without one)
-- ARGV: publication, epoch to take if one is needed, known epoch, known offset, size, lifetime of
--   the stream (ms), of meta (ms), of the outcome (ms), version (0: none), version epoch, 1 if the
--   caller waits for replicas or disks
-- Returns {flags, offset, epoch, replication history}: flags 1 suppressed, 2 and 4 as check_meta
-- says; or {-1, number of the key that holds something else}.
local payload, outcome_key = ARGV[1], KEYS[4]

-- WAIT and WAITAOF speak of this connection's writes: one that changes nothing comes behind those
-- of whoever published this before.
local function confirmable(key)
  if ARGV[11] ~= "1" then
    return ""
  end
  redis.call("PEXPIRE", key, redis.call("PTTL", key))
  return replication_history()
end

if outcome_key then
  local outcome = redis.pcall("GET", outcome_key)
  if is_wrong_type(outcome) then
    return {-1, 4}
  elseif outcome then
    if outcome.err then
      return outcome
    end
    local offset, epoch = string.match(outcome, "^(%d+) (%w*)$")
    if not offset then
      return {-1, 4}
    end
    return {1, tonumber(offset), epoch, confirmable(outcome_key)}
  end
end

local meta = find_meta(KEYS[1])
if not meta then
  return {-1, 1}
end
local is_new = not meta.epoch
local history = replication_history()
check_meta(meta, history, ARGV[2], ARGV[3], ARGV[4])
if is_new then
  redis.call("UNLINK", KEYS[2])
end

-- Versions are compared as decimal texts: Lua's numbers are exact up to 2^53 only.
local version = ARGV[9]
if version ~= "0" and not is_new and (ARGV[10] == "" or ARGV[10] == meta.version_epoch) then
  local last = meta.version
  if #version < #last or (#version == #last and version <= last) then
    if meta.is_changed then
      redis.call("HSET", KEYS[1], "e", meta.epoch, "r", history)
    end
    return {1 + meta.why, meta.top, meta.epoch, confirmable(KEYS[1])}
  end
end

local offset = meta.top + 1
local added = redis.pcall("XADD", KEYS[2], "MAXLEN", "=", ARGV[5], decimal(offset) .. "-0", "p", payload)
if type(added) == "table" and added.err then
  -- Something else, or a stream that goes on further than its top.
  if is_wrong_type(added) or string.find(added.err, "equal or smaller", 1, true) then
    return {-1, 2}
  end
  return added
end
redis.call("HSET", KEYS[1], "s", decimal(offset), "e", meta.epoch, "r", history)
if version ~= "0" then
  redis.call("HSET", KEYS[1], "v", version, "ve", ARGV[10])
end
redis.call("PEXPIRE", KEYS[2], ARGV[6])
redis.call("PEXPIRE", KEYS[1], ARGV[7])
if outcome_key then
  redis.call("SET", outcome_key, decimal(offset) .. " " .. meta.epoch, "PX", ARGV[8])
end
redis.call("SPUBLISH", KEYS[3], "p " .. meta.epoch .. " " .. decimal(offset) .. " " .. payload)
return {meta.why, offset, meta.epoch, history}
