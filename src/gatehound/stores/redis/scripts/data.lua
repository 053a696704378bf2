-- App data of a living session, field by field.
--
-- KEYS[1] u<alias>  [2] d<alias><sid>
-- ARGV[5] sid  [6] 'get' | 'all' | 'set' | 'delete' | 'incr'  [7...] names; for set: name, value,
--         ...; for incr: name, sum to add
-- Reply: tag, now, and then nothing for a dead session, else
--   get, all: {name, value, ...}   set: 1, or -1 over the limit of fields
--   delete: how many were there    incr: the sum as text, or -1 over the limit, -2 no integer

local U, D, SID, OP = KEYS[1], KEYS[2], ARGV[5], ARGV[6]
local part = redis.call('HMGET', U, SID, SID .. 't')
if not part[1] then
  return {TAG, NOW}
end
check(part[1], part[2])
if over(part[1], part[2]) then
  return {TAG, NOW}
end

local function keep()
  redis.call('PEXPIRE', D, expires(part[1]) - NOW + LINGER)
end

-- Names after `first`, `step` apart, that would be new fields.
local function is_full(first, step)
  local fields = redis.call('HLEN', D)
  for n = first, #ARGV, step do
    fields = fields + 1 - redis.call('HEXISTS', D, ARGV[n])
  end
  return fields > MAX_DATA_FIELDS
end

if OP == 'all' then
  return {TAG, NOW, redis.call('HGETALL', D)}
elseif OP == 'get' then
  local found = {}
  for n = 7, #ARGV do
    local value = redis.call('HGET', D, ARGV[n])
    if value then
      found[#found + 1], found[#found + 2] = ARGV[n], value
    end
  end
  return {TAG, NOW, found}
elseif OP == 'set' then
  if is_full(7, 2) then
    return {TAG, NOW, -1}
  end
  for n = 7, #ARGV, 2 do
    redis.call('HSET', D, ARGV[n], ARGV[n + 1])
  end
  keep()
  return {TAG, NOW, 1}
elseif OP == 'delete' then
  local gone = 0
  for n = 7, #ARGV do
    gone = gone + redis.call('HDEL', D, ARGV[n])
  end
  return {TAG, NOW, gone}
end

if is_full(7, 2) then
  return {TAG, NOW, -1}
end
local sum = redis.pcall('HINCRBY', D, ARGV[7], ARGV[8])
if type(sum) == 'table' then
  -- Only what is the caller's fault is answered here; OOM and its kin are the system's.
  if sum.err:find('integer') or sum.err:find('overflow') then
    return {TAG, NOW, -2}
  end
  return sum
end
keep()
-- Read back as text: as a number the reply would lose what is over 53 bits.
return {TAG, NOW, redis.call('HGET', D, ARGV[7])}
