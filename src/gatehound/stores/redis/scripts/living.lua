-- Count the sessions in the directory of a bucket, whose pieces are too many to ask for one by one.
--
-- KEYS[1] i
-- Reply: tag, now, how many

local count = 0
for _, piece in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local size = redis.pcall('ZCARD', KEYS[1] .. piece)
  if type(size) == 'number' then -- else it is out of reach: the slot is moving
    count = count + size
  end
end
return {TAG, NOW, count}
