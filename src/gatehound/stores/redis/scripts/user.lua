-- What the scripts that change a user share: reading the whole hash, ending sessions, events.
--
-- KEYS declares every key whose name is known beforehand. Evidence and app data of sessions
-- that are found on the way have names that are not; they live in the same slot.

local PREFIX, ALIAS, U, L, X, H, I, EV

local function open(prefix, alias)
  PREFIX, ALIAS = prefix, alias
  U, L, X, H = prefix .. 'u:' .. alias, prefix .. 'l:' .. alias, prefix .. 'x:' .. alias,
    prefix .. 'h:' .. alias
  I, EV = prefix .. 'i', prefix .. 'ev'
end

local function memory_key(sid) return PREFIX .. 'm:' .. ALIAS .. ':' .. sid end
local function data_key(sid) return PREFIX .. 'd:' .. ALIAS .. ':' .. sid end

-- A text over 64 bytes lies in l:<alias>, behind a pointer: it would turn the compact hash
-- into a table. In front of it are 4 bytes of the alias, see store.py.
local function text(value, field)
  if value == POINTER then
    local long_text = redis.call('HGET', L, field)
    return long_text and long_text:sub(5) or ''
  end
  return value or ''
end

local function put_text(field, value)
  local short = '@' .. field
  if value == '' then
    redis.call('HDEL', U, short)
  elseif #value <= MAX_VALUE_BYTES then
    redis.call('HSET', U, short, value)
  else
    redis.call('HSET', U, short, POINTER)
    redis.call('HSET', L, field, ALIAS:sub(1, 4) .. value)
  end
end

-- `lenient`: set damaged sessions, and those of another release, apart instead of failing;
-- what ends sessions must never be stopped by one.
local function read_user(lenient)
  local user = {sessions = {}, stones = {}, finished = {}, damaged = {}}
  local flat = redis.call('HGETALL', U)
  local seen, previous = {}, {}
  for n = 1, #flat, 2 do
    local field, value = flat[n], flat[n + 1]
    if #field == SID_BYTES then
      user.sessions[field] = {sid = field, security = value}
    elseif #field == SID_BYTES + 1 then
      local sid, kind = field:sub(1, SID_BYTES), field:sub(-1)
      if kind == 't' then
        seen[sid] = value
      elseif kind == 'p' then
        previous[sid] = value
      elseif kind == 'x' then
        user.stones[sid] = value
      end
    else
      user[field] = value
    end
  end
  for sid, session in pairs(user.sessions) do
    session.seen, session.previous = seen[sid], previous[sid]
    if lenient and not readable(session.security, session.seen) then
      user.sessions[sid] = nil
      user.damaged[#user.damaged + 1] = sid
    else
      check(session.security, session.seen)
      session.over = over(session.security, session.seen)
    end
  end
  user.id, user.roles = text(user['@u'], 'u'), text(user['@r'], 'r')
  return user
end

-- Strings are compared as numbers: Lua's `<` follows the locale that the server was started in.
local function older(a, b)
  local x, y = long(a.security, 24), long(b.security, 24)
  if x ~= y then
    return x < y
  end
  for position = 1, SID_BYTES, 4 do
    x, y = int(a.sid, position), int(b.sid, position)
    if x ~= y then
      return x < y
    end
  end
  return false
end

local function living(user)
  local list = {}
  for _, session in pairs(user.sessions) do
    if not session.over then
      list[#list + 1] = session
    end
  end
  table.sort(list, older)
  return list
end

-- Event ids are explicit, because the time may be given (tests), and `<ms>-*` is Redis 7.
local function next_id()
  local now = string.format('%.0f', NOW)
  if redis.call('EXISTS', EV) == 0 then
    return now .. '-1'
  end
  local info = redis.call('XINFO', 'STREAM', EV)
  for n = 1, #info, 2 do
    if info[n] == 'last-generated-id' then
      local ms, sequence = info[n + 1]:match('^(%d+)-(%d+)$')
      if tonumber(ms) >= NOW then
        return ms .. '-' .. string.format('%.0f', tonumber(sequence) + 1)
      end
    end
  end
  return now .. '-1'
end

-- name, user id, public id, reason, the rest as JSON, own time ('': the id says it)
local function log(name, user_id, public_id, reason, rest, at)
  local oldest = NOW - RETENTION
  if oldest > 0 then
    redis.call('XADD', EV, 'MINID', '~', string.format('%.0f', oldest), next_id(), 'n', name,
      'u', user_id, 'p', public_id, 'r', reason, 'j', rest, 'a', at)
  else
    redis.call('XADD', EV, next_id(), 'n', name, 'u', user_id, 'p', public_id, 'r', reason,
      'j', rest, 'a', at)
  end
end

-- Write the event whose five texts start at ARGV[first]; no name, no event.
local function log_given(first)
  if ARGV[first] ~= '' then
    log(ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3], ARGV[first + 4], '')
  end
end

local function public(sid)
  return (sid:gsub('.', function(byte) return string.format('%02x', byte:byte()) end))
end

-- End a session that cannot be read: there is nothing to tell of it.
local function drop(sid)
  redis.call('HDEL', U, sid, sid .. 't', sid .. 'p')
  redis.pcall('DEL', memory_key(sid), data_key(sid))
  redis.call('ZREM', I, sid .. ALIAS)
end

local EXPIRED = {name = 'session_expired', rest = ''}

-- End one session. HDEL comes first: over maxmemory a script may write on once its first
-- write was allowed, and HDEL always is; any other first write would leave the session alive.
local function finish(user, sid, reason, event)
  local session = user.sessions[sid]
  redis.call('HDEL', U, sid, sid .. 't', sid .. 'p')
  local life = long(session.security, 40) - NOW
  life = math.min(math.max(life, TOMBSTONE_MIN), TOMBSTONE_MAX)
  local stone = string.char(VERSION, reason) .. pack_long(NOW) .. pack_long(NOW + life)
  redis.call('HSET', U, sid .. 'x', stone)
  redis.pcall('DEL', memory_key(sid), data_key(sid))
  redis.call('ZREM', I, sid .. ALIAS)
  if event then
    log(event.name, user.id, public(sid), event.reason or REASONS[reason], event.rest, '')
  end
  user.sessions[sid], user.stones[sid] = nil, stone
  table.insert(user.finished, {sid, session.security, session.seen, reason})
end

-- A session that is over because everybody's are has one event with all others.
local function finish_over(user, sid)
  local reason = user.sessions[sid].over
  finish(user, sid, reason, reason ~= EVERYONE and EXPIRED or nil)
end

local function finish_all_over(user)
  for sid, session in pairs(user.sessions) do
    if session.over then
      finish_over(user, sid)
    end
  end
end

-- What create compares. not_before stands for everybody, also for users who have no hash.
local function epoch_of(user)
  return math.max(tonumber(user['@e'] or '0'), NOT_BEFORE)
end

local function bump_epoch(user)
  -- Derived from the time, so that it never repeats after the hash has expired.
  local epoch = math.max(epoch_of(user) + 1, NOW)
  user['@e'] = string.format('%.0f', epoch)
  redis.call('HSET', U, '@e', user['@e'])
end

local function newer_stone(a, b)
  return long(a.stone, 3) > long(b.stone, 3)
end

local function bury(user)
  local stones = {}
  for sid, stone in pairs(user.stones) do
    if stands(stone) then
      stones[#stones + 1] = {sid = sid, stone = stone}
    else
      redis.call('HDEL', U, sid .. 'x')
    end
  end
  table.sort(stones, newer_stone)
  for n = TOMBSTONES_PER_USER + 1, #stones do
    redis.call('HDEL', U, stones[n].sid .. 'x')
    stones[n] = nil
  end
  return stones
end

-- Let the hash live as long as its last session, tombstone or epoch, and a day more, in which
-- the sweep can still notice what ran out.
local function settle(user)
  local latest = NOW + TOMBSTONE_MIN
  for _, session in pairs(user.sessions) do
    latest = math.max(latest, long(session.security, 40))
  end
  for _, entry in ipairs(bury(user)) do
    latest = math.max(latest, long(entry.stone, 11))
  end
  redis.call('PEXPIRE', U, latest - NOW + LINGER)
  redis.call('PEXPIRE', L, latest - NOW + LINGER)
end
