-- Create a session within the user's limit.
--
-- KEYS    u:, l:, x:, h: of the alias, i, ev
-- ARGV[5] sid  [6] security part, with absolute in place of the end  [7] seen part
--     [8] user id  [9] roles  [10] evidence, '' for none  [11] limit, '' for none
--     [12] 'oldest' or 'deny'  [13] epoch, '' for not compared  [14] sid to replace, or ''
--     [15] alias  [16-20] event
-- Reply: tag, now, 'created', security, seen, user id, roles, finished
--        tag, now, 'limit' | 'disabled' | 'epoch' | 'sid'

open(KEYS[1]:sub(1, -3 - #ARGV[15]), ARGV[15])
local SID, USER_ID, ROLES, MEMORY = ARGV[5], ARGV[8], ARGV[9], ARGV[10]
local LIMIT, EPOCH, REPLACES = tonumber(ARGV[11]), ARGV[13], ARGV[14]
local user = read_user()

local present = user.sessions[SID]
if present and present.security:sub(8, 23) == ARGV[6]:sub(8, 23) then
  return {TAG, NOW, 'created', present.security, present.seen, user.id, user.roles, {}}
elseif present or user.stones[SID] then
  -- A tombstone too: a create that is repeated must not bring back what was ended meanwhile.
  return {TAG, NOW, 'sid'}
elseif redis.call('EXISTS', X) == 1 then
  return {TAG, NOW, 'disabled'}
elseif EPOCH ~= '' and tonumber(EPOCH) ~= epoch_of(user) then
  return {TAG, NOW, 'epoch'}
end

local list, replaced = {}, false
for _, session in ipairs(living(user)) do
  if session.sid == REPLACES then
    replaced = true
  else
    list[#list + 1] = session
  end
end
local excess = LIMIT and #list - math.max(LIMIT - 1, 0) or 0
if excess > 0 and ARGV[12] == 'deny' then
  return {TAG, NOW, 'limit'}
end

-- Unlike the scripts that revoke, this one starts with a write that may be denied: over
-- maxmemory nobody is signed in, and nobody's session ends for it.
local security = ARGV[6]:sub(1, 23) .. pack_long(NOW) .. pack_long(NOW)
  .. pack_long(NOW + long(ARGV[6], 40)) .. ARGV[6]:sub(48, 53) .. pack_long(NOW)
  .. ARGV[6]:sub(62)
local seen = ARGV[7]:sub(1, 1) .. pack_long(NOW) .. ARGV[7]:sub(10)
redis.call('HSET', U, SID, security, SID .. 't', seen)
user.id, user.roles = USER_ID, ROLES
put_text('u', USER_ID)
put_text('r', ROLES)
finish_all_over(user)
if replaced then
  finish(user, REPLACES, REPLACED, {name = 'session_terminated', rest = ''})
end
for n = 1, excess do
  finish(user, list[n].sid, LIMIT_REASON, {name = 'session_terminated_limit', rest = ''})
end
user.sessions[SID] = {sid = SID, security = security, seen = seen}
redis.call('ZADD', I, NOW, SID .. ALIAS)
if MEMORY ~= '' then
  redis.call('SET', memory_key(SID), MEMORY, 'PX', long(security, 40) - NOW + LINGER)
end
settle(user)
log_given(16)
return {TAG, NOW, 'created', security, seen, user.id, user.roles, user.finished}
