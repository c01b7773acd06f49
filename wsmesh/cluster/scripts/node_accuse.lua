-- Counts an accusation; enough of them are a verdict, final for the incarnation.
-- KEYS: nodes, leases, dead, version, cleanup, accusations
-- ARGV: accused (node/incarnation), accuser (node/incarnation), accusers needed, window (ms),
--       1 when the accused's host refuses connections, 1 when the accuser knows of no third node
-- Returns {"dead", version}, {"accused", accusers}, or {"void"} when either is no member.
local accused, accuser = ARGV[1], ARGV[2]
local function is_dead(member)
  return redis.call("ZSCORE", KEYS[3], member)
end
if accuser == accused or is_dead(accuser) then
  return {"void"}
end
if is_dead(accused) then
  return {"dead", tonumber(redis.call("GET", KEYS[4]) or "0")}
end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_of_accuser = tonumber(redis.call("ZSCORE", KEYS[2], accuser) or "0")
local lease = redis.call("ZSCORE", KEYS[2], accused)
if lease_of_accuser < now or not lease then
  return {"void"}
end
redis.call("ZREMRANGEBYSCORE", KEYS[6], "-inf", now - ARGV[4])
redis.call("ZADD", KEYS[6], now, accused .. "|" .. accuser)
local accusers = 0
for _, each in ipairs(redis.call("ZRANGE", KEYS[6], 0, -1)) do
  local from = string.sub(each, #accused + 2)
  -- Who is gone meanwhile is no witness.
  if string.sub(each, 1, #accused + 1) == accused .. "|" and redis.call("ZSCORE", KEYS[2], from) then
    accusers = accusers + 1
  end
end
local is_expired, is_refused = tonumber(lease) < now, ARGV[5] == "1"
local is_only_other = ARGV[6] == "1"
  and redis.call("ZCOUNT", KEYS[2], now, "+inf") - (is_expired and 0 or 1) <= 1
local has_verdict = accusers >= tonumber(ARGV[3])
  or (is_refused and is_expired)
  or (is_only_other and (is_refused or is_expired))
if not has_verdict then
  return {"accused", accusers}
end
redis.call("HDEL", KEYS[1], accused)
redis.call("ZREM", KEYS[2], accused)
redis.call("ZADD", KEYS[3], now, accused)
redis.call("SADD", KEYS[5], accused)
return {"dead", redis.call("INCR", KEYS[4])}
