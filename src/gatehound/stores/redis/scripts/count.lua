-- Add to a shared counter.
--
-- KEYS[1] c:<kind>:<window>
-- ARGV[5] number of the window in the key's name  [6] length of a window in milliseconds
--     [7] name  [8] what to add
-- Reply: tag, now, and the sum; nothing where the key is that of another window: the caller
--        names the key, so that a cluster finds it, and only the server knows the time

local WINDOW = tonumber(ARGV[6])
if math.floor(NOW / WINDOW) ~= tonumber(ARGV[5]) then
  return {TAG, NOW}
end
if redis.call('HEXISTS', KEYS[1], ARGV[7]) == 0
    and redis.call('HLEN', KEYS[1]) >= MAX_COUNTER_NAMES then
  return {TAG, NOW, 0}
end
local sum = redis.call('HINCRBY', KEYS[1], ARGV[7], ARGV[8])
redis.call('PEXPIRE', KEYS[1], WINDOW * 2)
return {TAG, NOW, sum}
