-- Look at some sessions of one bucket's directory and end those that are over.
--
-- KEYS[1] i  [2] ev
-- ARGV[5] first place in the directory  [6] how many places to look at  [7] how many to end
--     [8] '': what is over; else: everything created until then, for revoke_everyone
-- Reply: tag, now, next place (-1 at the end), finished ({alias, user id, roles, sid, security,
--        seen, reason})

local prefix = KEYS[1]:sub(1, -2)
local FIRST, COUNT, LIMIT, UNTIL = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]),
  tonumber(ARGV[8])
local members = UNTIL and redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[8], 'LIMIT', FIRST, COUNT)
  or redis.call('ZRANGE', KEYS[1], FIRST, FIRST + COUNT - 1)
local finished, place, looked = {}, FIRST, 0

local function look(member)
  local sid = member:sub(1, SID_BYTES)
  open(prefix, member:sub(SID_BYTES + 1))
  local part = redis.call('HMGET', U, sid, sid .. 't')
  if not part[1] then
    redis.call('ZREM', I, member)
    return
  end
  local fine = readable(part[1], part[2])
  local reason = fine and (UNTIL and EVERYONE or over(part[1], part[2]))
  if not reason then
    place = place + 1
    return
  end
  local user = read_user(true)
  user.sessions[sid].over = reason
  finish_over(user, sid)
  settle(user)
  local done = user.finished[1]
  finished[#finished + 1] = {ALIAS, user.id, user.roles, done[1], done[2], done[3], done[4]}
end

for _, member in ipairs(members) do
  if #finished >= LIMIT then
    break
  end
  look(member)
  looked = looked + 1
end
if NOW > RETENTION then
  redis.pcall('XTRIM', KEYS[2], 'MINID', '~', string.format('%.0f', NOW - RETENTION))
end
if looked == #members and #members < COUNT then
  place = -1
end
return {TAG, NOW, place, finished}
