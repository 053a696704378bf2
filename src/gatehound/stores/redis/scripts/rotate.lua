-- Replace the secret of a session, if the one given is the current one.
--
-- KEYS    u, l, x, h of the alias, i, ev
-- ARGV[5] sid  [6] old hash  [7] new hash  [8] grace in milliseconds, NO_GRACE for none
--     [9] '1': authenticated now  [10] methods, 2 bytes, or ''  [11] aal or ''
--     [12] absolute in milliseconds or ''  [13] flags to clear  [14] alias  [15-19] event
-- Reply: as load.lua; `over` never: this script has all keys and ends the session itself, and
--        puts security, seen, user id and roles of what it ended behind the tombstone

open(KEYS[1]:sub(1, -2 - #ARGV[14]), ARGV[14])
local SID, OLD, NEW = ARGV[5], ARGV[6], ARGV[7]
local user = read_user(true)
for _, sid in ipairs(user.damaged) do
  if sid == SID then
    unreadable()
  end
end
local session = user.sessions[SID]

if session and session.over then
  finish_over(user, SID)
  settle(user)
  if session.over == EVERYONE then
    return {TAG, NOW, 'ended', user.stones[SID]}
  end
  return {TAG, NOW, 'ended', user.stones[SID], session.security, session.seen, user.id, user.roles}
elseif not session then
  local stone = user.stones[SID]
  if stone and stands(stone) then
    return {TAG, NOW, 'ended', stone}
  end
  return {TAG, NOW, 'unknown'}
end

local old = session.security
local hash = old:sub(10, 25)
local worth, reuse = 'live', ''
if hash ~= NEW then
  worth, reuse = standing(old, session.previous, OLD)
end
-- Who has just proved who they are may do so on the secret before, while it is valid.
local is_proof = ARGV[9] == '1' and tonumber(ARGV[8]) == NO_GRACE
if hash == NEW or not (worth == 'live' or worth == 'grace' and is_proof) then
  return {TAG, NOW, worth, old, session.seen, user.id, user.roles, reuse, 0}
end

local flags = bit.band(old:byte(2), bit.bnot(tonumber(ARGV[13])))
local aal = ARGV[11] ~= '' and tonumber(ARGV[11]) or old:byte(3)
local age = NOW - created(old)
local authenticated = ARGV[9] == '1' and pack_span(age) or old:sub(41, 45)
local life = ARGV[12] ~= '' and pack_span(age + tonumber(ARGV[12])) or old:sub(32, 36)
local methods = ARGV[10] ~= '' and ARGV[10] or old:sub(4, 5)
session.security = old:sub(1, 1) .. string.char(flags, aal) .. methods .. old:sub(6, 9) .. NEW
  .. old:sub(26, 31) .. life .. old:sub(37, 40)
  .. (authenticated ~= '' and authenticated or pack_span(0)) .. pack_span(age) .. old:sub(51)
local previous = old:sub(1, 1) .. OLD .. pack_long(NOW) .. pack_long(0)
  .. struct.pack('>I4', tonumber(ARGV[8]))

-- HDEL first, as in finish: a stolen secret must be replaceable over maxmemory too.
redis.call('HDEL', U, SID .. 'p')
redis.call('HSET', U, SID, session.security, SID .. 'p', previous)
if ARGV[12] ~= '' then
  settle(user)
  redis.call('PEXPIRE', memory_key(SID), tonumber(ARGV[12]) + LINGER)
  redis.call('PEXPIRE', data_key(SID), tonumber(ARGV[12]) + LINGER)
end
log_given(15)
return {TAG, NOW, 'live', session.security, session.seen, user.id, user.roles, '', 0}
