-- Replace the secret of a session, if the one given is the current one.
--
-- KEYS    u:, l:, x:, h: of the alias, i, ev
-- ARGV[5] sid  [6] old hash  [7] new hash  [8] grace in milliseconds, NO_GRACE for none
--     [9] '1': authenticated now  [10] methods, 2 bytes, or ''  [11] aal or ''
--     [12] absolute in milliseconds or ''  [13] flags to clear  [14] alias  [15-19] event
-- Reply: as load.lua; `over` never: this script has all keys and ends the session itself, and
--        puts security, seen, user id and roles of what it ended behind the tombstone

open(KEYS[1]:sub(1, -3 - #ARGV[14]), ARGV[14])
local SID, OLD, NEW = ARGV[5], ARGV[6], ARGV[7]
local user = read_user()
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
local hash = old:sub(8, 23)
if hash ~= OLD or hash == NEW then
  local worth, reuse = 'live', ''
  if hash ~= NEW then
    worth, reuse = standing(old, session.previous, OLD)
  end
  return {TAG, NOW, worth, old, session.seen, user.id, user.roles, reuse, 0}
end

local flags = bit.band(old:byte(2), bit.bnot(tonumber(ARGV[13])))
local aal = ARGV[11] ~= '' and tonumber(ARGV[11]) or old:byte(3)
local authenticated = ARGV[9] == '1' and pack_long(NOW) or old:sub(32, 39)
local expires = ARGV[12] ~= '' and pack_long(NOW + tonumber(ARGV[12])) or old:sub(40, 47)
local methods = ARGV[10] ~= '' and ARGV[10] or old:sub(52, 53)
session.security = string.char(VERSION, flags, aal) .. old:sub(4, 7) .. NEW .. old:sub(24, 31)
  .. authenticated .. expires .. old:sub(48, 51) .. methods .. pack_long(NOW) .. old:sub(62)
local previous = string.char(VERSION) .. OLD .. pack_long(NOW) .. pack_long(0)
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
