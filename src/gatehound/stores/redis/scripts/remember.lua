-- Write evidence, the seen part, flags and events of a living session: all, or nothing.
--
-- KEYS    u, l, x, h of the alias, i, ev
-- ARGV[5] sid  [6] secret hash  [7] expected version of the session's evidence, '' not given
--     [8] that evidence, packed  [9], [10] the same of the user  [11] seen part or ''
--     [12] flags to set  [13] flags to clear  [14] what stood against it, or '' not given
--     [15] alias  [16...] events, five texts each
-- Reply: tag, now, 'done' | 'gone', or 'conflict', both evidences and the flags as stored

local STANDING = 28 -- FLAGGED, STEP_UP and NOTIFIED: change stores/record.py too
open(KEYS[1]:sub(1, -2 - #ARGV[15]), ARGV[15])
local SID, HASH = ARGV[5], ARGV[6]
local part = redis.call('HMGET', U, SID, SID .. 't', SID .. 'p')
local security, seen = part[1], part[2]
if not security then
  return {TAG, NOW, 'gone'}
end
check(security, seen)
local worth = standing(security, part[3], HASH)
if over(security, seen) or not (worth == 'live' or worth == 'grace') then
  return {TAG, NOW, 'gone'}
end

-- Evidence is stored as version byte, 4 bytes of its owner, 4 bytes counter, data.
local function differs(stored, expected)
  return expected ~= '' and (stored and int(stored, 6) or 0) ~= tonumber(expected)
end

local memory, user_memory = redis.call('GET', memory_key(SID)), redis.call('GET', H)
local flags = security:byte(2)
local is_same = ARGV[14] == '' or bit.band(flags, STANDING) == tonumber(ARGV[14])
if not is_same or differs(memory, ARGV[7]) or differs(user_memory, ARGV[9]) then
  return {TAG, NOW, 'conflict', memory or '', user_memory or '', flags}
end

if tonumber(ARGV[12]) > 0 then
  -- HDEL first, as in finish: what stands against a session must be noted over maxmemory too.
  redis.call('HDEL', U, '@')
end
local life = expires(security) - NOW + LINGER
if ARGV[7] ~= '' then
  redis.call('SET', memory_key(SID), ARGV[8], 'PX', life)
end
if ARGV[9] ~= '' then
  redis.call('SET', H, ARGV[10], 'PX', USER_MEMORY_LIFE)
end
if ARGV[11] ~= '' then
  local last = math.max(long(seen, 2), long(ARGV[11], 2))
  redis.call('HSET', U, SID .. 't', ARGV[11]:sub(1, 1) .. pack_long(last) .. ARGV[11]:sub(8))
end
local wanted = bit.band(bit.bor(flags, tonumber(ARGV[12])), bit.bnot(tonumber(ARGV[13])))
if wanted ~= flags then
  redis.call('HSET', U, SID, security:sub(1, 1) .. string.char(wanted) .. security:sub(3))
end
for first = 16, #ARGV, 5 do
  log_given(first)
end
return {TAG, NOW, 'done'}
