-- Say how far a stream of events ever came, also where its last events were deleted.
--
-- KEYS[1] ev
-- Reply: tag, now, the id that was given last, '0-0' for no stream

if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for n = 1, #info, 2 do
    if info[n] == 'last-generated-id' then
      return {TAG, NOW, info[n + 1]}
    end
  end
end
return {TAG, NOW, '0-0'}
