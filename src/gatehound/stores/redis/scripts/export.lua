-- Return all that is stored of a user, as it is at one moment.
--
-- KEYS    u, l, x, h of the alias, i, ev
-- ARGV[5] alias
-- Reply: tag, now, user id, roles, living ({sid, security, seen, evidence, data}),
--        tombstones ({sid, tombstone}), evidence of the user, 1 if disabled

open(KEYS[1]:sub(1, -2 - #ARGV[5]), ARGV[5])
local user = read_user()
local list, stones = {}, {}
for _, session in ipairs(living(user)) do
  list[#list + 1] = {session.sid, session.security, session.seen,
    redis.call('GET', memory_key(session.sid)) or '', redis.call('HGETALL', data_key(session.sid))}
end
for sid, stone in pairs(user.stones) do
  if stands(stone) then
    stones[#stones + 1] = {sid, stone}
  end
end
return {TAG, NOW, user.id, user.roles, list, stones, redis.call('GET', H) or '',
  redis.call('EXISTS', X)}
