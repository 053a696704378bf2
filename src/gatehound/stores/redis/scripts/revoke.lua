-- End one session, all but one, or all of a user; with a mark, disable the user too.
--
-- KEYS    u, l, x, h of the alias, i, ev; or u alone, see user.lua
-- ARGV[5] 'only', 'keep' or 'all'  [6] sid or ''  [7] reason code  [8] '1': disable
--     [9] alias  [10] name of the event ('': none), [11] its reason, [12] the rest as JSON
-- Reply: tag, now, epoch, user id, roles, finished

open(KEYS[1]:sub(1, -2 - #ARGV[9]), ARGV[9])
local MODE, SID, REASON = ARGV[5], ARGV[6], tonumber(ARGV[7])
local user = read_user(true)
local event = ARGV[10] ~= '' and {name = ARGV[10], reason = ARGV[11], rest = ARGV[12]} or nil

-- The write that is allowed over maxmemory, even where there is no session to end: a mark or
-- an epoch that is not written lets somebody in.
redis.call('HDEL', U, '@')
for sid, session in pairs(user.sessions) do
  if session.over then
    finish_over(user, sid)
  elseif MODE == 'all' or (sid == SID) == (MODE == 'only') then
    finish(user, sid, REASON, event)
  end
end
for _, sid in ipairs(user.damaged) do
  if MODE == 'all' or (sid == SID) == (MODE == 'only') then
    drop(sid)
  end
end
if ARGV[8] == '1' and not ALONE then
  redis.call('SET', X, string.format('%.0f', NOW))
end
if MODE ~= 'only' then
  bump_epoch(user)
end
if MODE ~= 'only' or #user.finished > 0 then
  settle(user)
end
return {TAG, NOW, string.format('%.0f', epoch_of(user)), user.id, user.roles, user.finished}
