-- List the living sessions of a user, and end those whose time is over.
--
-- KEYS    u:, l:, x:, h: of the alias, i, ev
-- ARGV[5] alias
-- Reply: tag, now, user id, roles, living ({sid, security, seen}, oldest first), finished,
--        tombstones ({sid, tombstone}), epoch

open(KEYS[1]:sub(1, -3 - #ARGV[5]), ARGV[5])
local user = read_user()
finish_all_over(user)
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
return {TAG, NOW, user.id, user.roles, list, user.finished, stones, user['@e'] or '0'}
