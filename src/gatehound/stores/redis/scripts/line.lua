-- Move the line of one bucket up to what meta says, never back.
--
-- KEYS[1] n
-- ARGV[5] the line: sessions created earlier are over for everyone
-- Reply: tag, now

if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[5]) then
  -- DEL first, as in finish: this must work over maxmemory.
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[5], 'PX', LINE_LIFE)
end
return {TAG, NOW}
