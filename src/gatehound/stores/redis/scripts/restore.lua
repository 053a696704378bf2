-- Put a user's part of a copy in the place of what is stored of them.
--
-- KEYS    u, l, x, h of the alias, i, ev
-- ARGV[5] alias  [6] '1': disabled  [7] evidence of the user, packed, '' for none
--     [8] epoch  [9] user id  [10] roles  [11] how many fields of u follow, then name, value, ...
--     and then for each session: sid, evidence ('' for none), how many data fields, name, value, ...
-- Reply: tag, now

open(KEYS[1]:sub(1, -2 - #ARGV[5]), ARGV[5])
local user = read_user(true)
local place = 11

local function take()
  place = place + 1
  return ARGV[place]
end

-- A write that may be denied comes first: over maxmemory nothing at all is changed. What keeps
-- somebody out comes next, and the directory, whose pieces no script can declare, last: what
-- fails then is mended by restoring again.
redis.call('HSET', U, '@', '')
if ARGV[6] == '1' then
  redis.call('SET', X, string.format('%.0f', NOW))
end
local epoch = math.max(tonumber(user['@e'] or '0'), tonumber(ARGV[8]))
for sid, session in pairs(user.sessions) do
  forget_parts(sid)
  delist(sid, created(session.security))
end
for _, sid in ipairs(user.damaged) do
  forget_parts(sid)
end
redis.call('DEL', U, L, H)
redis.call('HSET', U, '@e', string.format('%.0f', epoch))
redis.call('PEXPIRE', U, LINGER)
if epoch == 0 then
  redis.call('HDEL', U, '@e')
end
if ARGV[6] ~= '1' then
  redis.call('DEL', X)
end
for _ = 1, tonumber(ARGV[11]) do
  local name, value = take(), take()
  redis.call('HSET', U, name, value)
end
put_text('u', ARGV[9])
put_text('r', ARGV[10])
local copied = read_user(true)
settle(copied)
for sid in pairs(user.sessions) do
  if not copied.sessions[sid] then
    redis.pcall('PUBLISH', ENDS, sid)
  end
end
while place < #ARGV do
  local sid, memory, count = take(), take(), tonumber(take())
  local life = expires(copied.sessions[sid].security) - NOW + LINGER
  if memory ~= '' and life > 0 then
    redis.call('SET', memory_key(sid), memory, 'PX', life)
  end
  for _ = 1, count do
    redis.call('HSET', data_key(sid), take(), take())
  end
  if count > 0 then
    redis.call('PEXPIRE', data_key(sid), life)
  end
end
if ARGV[7] ~= '' then
  redis.call('SET', H, ARGV[7], 'PX', USER_MEMORY_LIFE)
end
for sid, session in pairs(copied.sessions) do
  enlist(sid, created(session.security))
end
return {TAG, NOW}
