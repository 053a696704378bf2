-- Erase what is stored of a user, but not the mark of a disabled one and not the epoch.
--
-- KEYS    u, l, x, h of the alias, i, ev
-- ARGV[5] alias
-- Reply: tag, now, how many living sessions went

open(KEYS[1]:sub(1, -2 - #ARGV[5]), ARGV[5])
local user = read_user(true)
local gone = #living(user)
for _, field in ipairs(redis.call('HKEYS', U)) do
  if field ~= '@e' then
    redis.call('HDEL', U, field)
  end
end
for sid in pairs(user.sessions) do
  drop(sid)
end
for _, sid in ipairs(user.damaged) do
  drop(sid)
end
redis.call('DEL', L, H)
for sid, session in pairs(user.sessions) do
  delist(sid, created(session.security))
end
return {TAG, NOW, gone}
