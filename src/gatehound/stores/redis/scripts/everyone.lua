-- Move not_before up to now: what was created earlier is over for everyone. It moves at every
-- call, also at the second of one millisecond: logins under way are refused because it moved.
--
-- KEYS[1] meta
-- ARGV[5] what it moves up to at least: the line of a copy, or the newest session and clock
--     [6] '1': it also moves up to now, and past what it was
-- Reply: tag, now, not_before

local before = tonumber(redis.call('HGET', KEYS[1], 'not_before') or '0')
local value = math.max(before, tonumber(ARGV[5]))
if ARGV[6] == '1' then
  value = math.max(value, before + 1, NOW)
end
value = string.format('%.0f', value)
-- HDEL first, as in finish: this must work over maxmemory.
redis.call('HDEL', KEYS[1], 'not_before')
redis.call('HSET', KEYS[1], 'not_before', value)
redis.pcall('PUBLISH', KEYS[1]:sub(1, -5) .. 'ends', '*')
return {TAG, NOW, value}
