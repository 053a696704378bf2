-- Look at the next piece of one bucket's directory and end the sessions in it that are over.
--
-- KEYS[1] i  [2] ev                      the piece lies in the same slot
-- ARGV[5] look at the first piece that begins after this, '-inf' for the first of all
--     [6] how many to end  [7] '': what is over; else: everything created until then, for
--         revoke_everyone
-- Reply: tag, now, where the piece begins ('' at the end), 1 if it was looked at whole, finished
--        ({alias, user id, roles, sid, security, seen, reason})

local prefix = KEYS[1]:sub(1, -2)
local AFTER, LIMIT, UNTIL = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local finished = {}

-- False where a cluster is moving the slot and the user is out of reach.
local function look(piece, member)
  local sid = member:sub(1, SID_BYTES)
  open(prefix, member:sub(SID_BYTES + 1))
  local part = redis.pcall('HMGET', U, sid, sid .. 't')
  if part.err then
    return false
  end
  if not part[1] then
    strike(piece, member)
    return true
  end
  local fine = readable(part[1], part[2])
  local reason = fine and (UNTIL and EVERYONE or over(part[1], part[2]))
  if not reason then
    return true
  end
  local user = read_user(true)
  user.sessions[sid].over = reason
  finish_over(user, sid)
  settle(user)
  strike(piece, member)
  local done = user.finished[1]
  finished[#finished + 1] = {ALIAS, user.id, user.roles, done[1], done[2], done[3], done[4]}
  return true
end

if NOW > RETENTION then
  redis.pcall('XTRIM', KEYS[2], 'MINID', '~', string.format('%.0f', NOW - RETENTION))
end
open(prefix, '')
local piece = redis.call('ZRANGEBYSCORE', I, AFTER, '+inf', 'LIMIT', 0, 1)[1]
if not piece or UNTIL and tonumber(piece) > UNTIL then
  return {TAG, NOW, '', 1, finished}
end
local members = redis.pcall('ZRANGEBYSCORE', I .. piece, '-inf', UNTIL and ARGV[7] or '+inf')
if members.err then
  return {TAG, NOW, piece, 1, finished}
end
if #members == 0 then
  redis.call('ZREM', I, piece)
end
for _, member in ipairs(members) do
  if #finished >= LIMIT then
    return {TAG, NOW, piece, 0, finished}
  end
  if not look(piece, member) then
    return {TAG, NOW, '', 1, finished} -- another sweep will find what is left here
  end
end
return {TAG, NOW, piece, 1, finished}
