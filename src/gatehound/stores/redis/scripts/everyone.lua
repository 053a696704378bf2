-- Move not_before up to now: what was created earlier is over for everyone. It moves at every
-- call, also at the second of one millisecond: logins under way are refused because it moved.
--
-- KEYS[1] meta
-- ARGV[5] the line of a copy, which it moves up to and never back; absent: now
-- Reply: tag, now, not_before

local before = tonumber(redis.call('HGET', KEYS[1], 'not_before') or '0')
local value = string.format('%.0f', math.max(ARGV[5] and before or before + 1, tonumber(ARGV[5]) or NOW))
-- HDEL first, as in finish: this must work over maxmemory.
redis.call('HDEL', KEYS[1], 'not_before')
redis.call('HSET', KEYS[1], 'not_before', value)
redis.pcall('PUBLISH', KEYS[1]:sub(1, -5) .. 'ends', '*')
return {TAG, NOW, value}
