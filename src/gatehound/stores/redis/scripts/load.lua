-- Say what a secret is worth, and slide a living session.
--
-- KEYS[1] u<alias>                      one key: during resharding a second one could be away
-- ARGV[5] sid  [6] secret hash  [7] touch in milliseconds, '' for none
-- Reply: tag, now, standing, and then
--   live, grace, superseded, reused: security, seen, user id, roles, class of reuse, last
--     activity before this call where it slid the session, else 0
--   ended: tombstone    over: reason (sessions.lua ends it)    unknown: nothing

local U, SID, HASH, TOUCH = KEYS[1], ARGV[5], ARGV[6], tonumber(ARGV[7])
local part = redis.call('HMGET', U, SID, SID .. 't', SID .. 'p', '@u', '@r', SID .. 'x')
local security, seen, previous = part[1], part[2], part[3]

if not security then
  if part[6] and stands(part[6]) then
    return {TAG, NOW, 'ended', part[6]}
  end
  return {TAG, NOW, 'unknown'}
end
check(security, seen)
local reason = over(security, seen)
if reason then
  return {TAG, NOW, 'over', reason}
end

local worth, reuse = standing(security, previous, HASH)
local was_seen = 0

-- Over maxmemory people who are signed in are let in all the same, and stay so: HDEL comes first,
-- as in finish, and what follows takes the place of as many bytes. The pcalls are for a disk that
-- is full, and for replicas that are gone.
if worth == 'live' and previous and long(previous, 24) == 0 and int(previous, 30) ~= NO_GRACE then
  redis.pcall('HDEL', U, '@')
  redis.pcall('HSET', U, SID .. 'p', previous:sub(1, 23) .. pack_long(NOW) .. previous:sub(30))
end
if TOUCH and (worth == 'live' or worth == 'grace') and NOW - long(seen, 2) >= TOUCH
    and NOW > long(seen, 2) then
  redis.pcall('HDEL', U, '@')
  local touched = seen:sub(1, 1) .. pack_long(NOW) .. seen:sub(8)
  local done = redis.pcall('HSET', U, SID .. 't', touched)
  if type(done) == 'number' then
    was_seen = long(seen, 2)
    seen = touched
  end
end
return {TAG, NOW, worth, security, seen, part[4], part[5], reuse, was_seen}
