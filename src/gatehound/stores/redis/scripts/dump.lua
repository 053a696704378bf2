-- Return what lies in the keys of a user, as it is stored. Nothing is changed.
--
-- KEYS    u, l, x, h of the alias, i, ev
-- ARGV[5] alias
-- Reply: tag, now, fields of u, fields of l, 1 if disabled, evidence of the user,
--        sessions ({sid, evidence, data})

open(KEYS[1]:sub(1, -2 - #ARGV[5]), ARGV[5])
local flat, parts = redis.call('HGETALL', U), {}
for n = 1, #flat, 2 do
  local sid = flat[n]
  if #sid == SID_BYTES then
    parts[#parts + 1] = {sid, redis.call('GET', memory_key(sid)) or '',
      redis.call('HGETALL', data_key(sid))}
  end
end
return {TAG, NOW, flat, redis.call('HGETALL', L), redis.call('EXISTS', X),
  redis.call('GET', H) or '', parts}
