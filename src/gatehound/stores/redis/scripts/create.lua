-- Create a session within the user's limit.
--
-- KEYS    u, l, x, h of the alias, i, ev; or u alone, see user.lua
-- ARGV[5] sid  [6] security part, created at 0  [7] seen part
--     [8] user id  [9] roles  [10] evidence, '' for none  [11] limit, '' for none
--     [12] 'oldest' or 'deny'  [13] epoch, '' for not compared  [14] sid to replace, or ''
--     [15] alias  [16-20] event
-- Reply: tag, now, 'created', security, seen, user id, roles, finished
--        tag, now, 'limit' | 'disabled' | 'epoch' | 'sid'

open(KEYS[1]:sub(1, -2 - #ARGV[15]), ARGV[15])
local SID, USER_ID, ROLES, MEMORY = ARGV[5], ARGV[8], ARGV[9], ARGV[10]
local LIMIT, EPOCH, REPLACES = tonumber(ARGV[11]), ARGV[13], ARGV[14]
local user = read_user(true)

local present = user.sessions[SID]
if present and not present.over and present.security:sub(10, 25) == ARGV[6]:sub(10, 25) then
  return {TAG, NOW, 'created', present.security, present.seen, user.id, user.roles, {}}
elseif present or user.stones[SID] then
  -- A tombstone too: a create that is repeated must not bring back what was ended meanwhile.
  return {TAG, NOW, 'sid'}
elseif not ALONE and redis.call('EXISTS', X) == 1 then
  return {TAG, NOW, 'disabled'}
elseif ALONE and (#USER_ID > MAX_VALUE_BYTES or #ROLES > MAX_VALUE_BYTES) then
  return redis.error_reply('TRYAGAIN this user has texts that lie in a second key')
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
-- A server whose clock stepped back, or is behind another's, must not make what is over already.
local BEGIN = math.max(NOW, NOT_BEFORE)
local security = ARGV[6]:sub(1, 25) .. pack_long(BEGIN) .. ARGV[6]:sub(32)
local seen = ARGV[7]:sub(1, 1) .. pack_long(BEGIN) .. ARGV[7]:sub(8)
redis.call('HSET', U, SID, security, SID .. 't', seen)
user.id, user.roles = USER_ID, ROLES
put_text('u', USER_ID)
put_text('r', ROLES)
finish_all_over(user)
if replaced then
  finish(user, REPLACES, REPLACED, {name = 'session_terminated', rest = ''})
end
if excess > 0 then
  table.sort(list, function(a, b) return makes_room_before(a, b, pair_of(ARGV[7])) end)
end
for n = 1, excess do
  finish(user, list[n].sid, LIMIT_REASON, {name = 'session_terminated_limit', rest = ''})
end
user.sessions[SID] = {sid = SID, security = security, seen = seen}
enlist(SID, BEGIN)
if MEMORY ~= '' and not ALONE then
  redis.call('SET', memory_key(SID), MEMORY, 'PX', expires(security) - NOW + LINGER)
end
settle(user)
log_given(16)
return {TAG, NOW, 'created', security, seen, user.id, user.roles, user.finished}
