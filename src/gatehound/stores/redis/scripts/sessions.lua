-- List the living sessions of a user, and end those whose time is over: who ends one has to
-- tell of it, so a caller that tells of one session, or of none, ends no more.
--
-- KEYS    u, l, x, h of the alias, i, ev
-- ARGV[5] alias  [6] 'all', 'none', or the sid of the only one to end
-- Reply: tag, now, user id, roles, living ({sid, security, seen}, oldest first), finished,
--        tombstones ({sid, tombstone}), epoch, 1 for a disabled user and 0 for others

open(KEYS[1]:sub(1, -2 - #ARGV[5]), ARGV[5])
local user = read_user(true) -- one that cannot be read must not hide the others
if ARGV[6] == 'all' then
  finish_all_over(user)
elseif user.sessions[ARGV[6]] and user.sessions[ARGV[6]].over then
  finish_over(user, ARGV[6])
end
if #user.finished > 0 then
  settle(user)
end
local list, stones = {}, {}
for _, session in ipairs(living(user)) do
  list[#list + 1] = {session.sid, session.security, session.seen}
end
for sid, stone in pairs(user.stones) do
  if stands(stone) then
    stones[#stones + 1] = {sid, stone}
  end
end
return {TAG, NOW, user.id, user.roles, list, user.finished, stones, user['@e'] or '0',
  redis.call('EXISTS', X)}
