-- Puts keys aside that hold what they should not, for somebody to look at.
-- KEYS: pairs of a key and the name to keep it under. ARGV: how long to keep it (ms)
-- Returns how many there were.
local moved = 0
for number = 1, #KEYS, 2 do
  if redis.call("EXISTS", KEYS[number]) == 1 then
    redis.call("RENAME", KEYS[number], KEYS[number + 1])
    redis.call("PEXPIRE", KEYS[number + 1], ARGV[1])
    moved = moved + 1
  end
end
return moved
