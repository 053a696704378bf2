-- What the scripts that change a user share: reading the whole hash, ending sessions, events.
--
-- KEYS declares every key whose name is known beforehand. Evidence and app data of sessions
-- that are found on the way have names that are not; they live in the same slot.

-- While a cluster moves a slot, keys of a user may lie on both sides, and a script over several
-- is told to try again. Given one key alone, `create` and `revoke` do without all others: who was
-- signed out must be, and nobody waits a minute to sign in. What they leave out is the event, the
-- directory, and evidence and app data of ended sessions, which end by their own time.
local ALONE = #KEYS == 1 and KEYS[1]:match('}(.)') == 'u'

local PREFIX, ALIAS, U, L, X, H, I, EV, ENDS

local function open(prefix, alias)
  PREFIX, ALIAS = prefix, alias
  U, L, X, H = prefix .. 'u' .. alias, prefix .. 'l' .. alias, prefix .. 'x' .. alias,
    prefix .. 'h' .. alias
  I, EV = prefix .. 'i', prefix .. 'ev'
  ENDS = prefix:match('^[^{]*') .. 'ends'
end

local function memory_key(sid) return PREFIX .. 'm' .. ALIAS .. sid end
local function data_key(sid) return PREFIX .. 'd' .. ALIAS .. sid end

local function forget_parts(sid)
  if not ALONE then
    redis.pcall('DEL', memory_key(sid), data_key(sid))
  end
end

-- A text over 64 bytes lies in l<alias>, behind a pointer: it would turn the compact hash
-- into a table. In front of it are 4 bytes of the alias, see store.py.
local function text(value, field)
  if value == POINTER then
    local long_text = not ALONE and redis.call('HGET', L, field)
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
  local x, y = created(a.security), created(b.security)
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

-- The network and browser where a session was last: b'' for not known.
local function pair_of(seen)
  return seen:byte(8) % 4 > 0 and seen:sub(15, 20) or ''
end

-- Who signs in again and again from one place makes room for it there: sessions of the same pair
-- go first, so that a robot ends its own sessions and not its owner's. Else the oldest goes.
local function makes_room_before(a, b, pair)
  local x, y = pair ~= '' and pair_of(a.seen) == pair, pair ~= '' and pair_of(b.seen) == pair
  if x ~= y then
    return x
  end
  return older(a, b)
end

-- The directory of a bucket: sid + alias by creation, in pieces that are small enough to stay
-- compact. `i` lists the pieces by what they begin with; a piece reaches up to the next one.
local function piece_at(moment)
  return redis.call('ZREVRANGEBYSCORE', I, moment, '-inf', 'LIMIT', 0, 1)[1]
end

local function strike(piece, member)
  -- Keys that no script declares may be out of reach where the sweep comes by while a slot moves:
  -- nothing may fail then, because what was written before stays written.
  if redis.pcall('ZREM', I .. piece, member) == 1 and redis.pcall('EXISTS', I .. piece) == 0 then
    redis.call('ZREM', I, piece)
  end
end

-- Hashes end by their own time, and leave their places here. With each new piece some older one
-- is gone through, so that the directory stays as large as what it names, also without a sweep.
local function tidy()
  local place = NOW % redis.call('ZCARD', I)
  local piece = redis.call('ZRANGE', I, place, place)[1]
  local members = redis.pcall('ZRANGE', I .. piece, 0, -1)
  for _, member in ipairs(members) do
    local sid, alias = member:sub(1, SID_BYTES), member:sub(SID_BYTES + 1)
    if redis.pcall('HEXISTS', PREFIX .. 'u' .. alias, sid) == 0 then
      strike(piece, member)
    end
  end
end

local function begin_piece(moment)
  if redis.call('EXISTS', I) == 1 then
    tidy()
  end
  redis.call('ZADD', I, moment, moment)
  return moment
end

-- Sessions come in order, but for those of a copy and of a clock that stepped back.
local function split(piece)
  local flat = redis.call('ZRANGE', I .. piece, 0, -1, 'WITHSCORES')
  local middle = flat[2 * math.floor(#flat / 4) + 2]
  if tonumber(middle) > tonumber(piece) then -- else too many of one moment: the piece grows
    begin_piece(middle)
    for n = 1, #flat, 2 do
      if tonumber(flat[n + 1]) >= tonumber(middle) then
        redis.call('ZADD', I .. middle, flat[n + 1], flat[n])
        strike(piece, flat[n])
      end
    end
  end
end

local function enlist(sid, moment)
  if ALONE then
    return
  end
  moment = string.format('%.0f', moment)
  local piece = piece_at(moment)
  if not piece then
    piece = begin_piece(moment)
  elseif redis.call('ZCARD', I .. piece) >= PIECE then
    local last = redis.call('ZREVRANGE', I, 0, 0)[1]
    local newest = redis.call('ZREVRANGE', I .. piece, 0, 0, 'WITHSCORES')[2]
    if piece == last and tonumber(moment) > tonumber(newest) then
      piece = begin_piece(moment)
    else
      split(piece)
      piece = piece_at(moment)
    end
  end
  redis.call('ZADD', I .. piece, moment, sid .. ALIAS)
end

local function delist(sid, moment)
  local piece = not ALONE and piece_at(string.format('%.0f', moment))
  if piece then
    strike(piece, sid .. ALIAS)
  end
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
  if ALONE then
    return
  end
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

-- End a session that cannot be read: there is nothing to tell of it. The sweep strikes it off.
local function drop(sid)
  redis.call('HDEL', U, sid, sid .. 't', sid .. 'p')
  redis.pcall('PUBLISH', ENDS, sid)
  forget_parts(sid)
end

local EXPIRED = {name = 'session_expired', rest = ''}

-- End one session. HDEL comes first: over maxmemory a script may write on once its first
-- write was allowed, and HDEL always is; any other first write would leave the session alive.
local function finish(user, sid, reason, event)
  local session = user.sessions[sid]
  redis.call('HDEL', U, sid, sid .. 't', sid .. 'p')
  local life = expires(session.security) - NOW
  life = math.min(math.max(life, TOMBSTONE_MIN), TOMBSTONE_MAX)
  local stone = session.security:sub(1, 1) .. string.char(reason) .. pack_long(NOW)
    .. struct.pack('>I3', math.ceil(life / 1000))
  redis.call('HSET', U, sid .. 'x', stone)
  redis.pcall('PUBLISH', ENDS, sid)
  forget_parts(sid)
  delist(sid, created(session.security))
  if event then
    log(event.name, user.id, public(sid), event.reason or REASONS[reason], event.rest, '')
  end
  user.sessions[sid], user.stones[sid] = nil, stone
  table.insert(user.finished, {sid, session.security, session.seen, reason})
end

-- A session that is over because everybody's are has one event with all others, and visitors
-- who never signed in have none.
local function finish_over(user, sid)
  local session = user.sessions[sid]
  local is_told = session.over ~= EVERYONE and bit.band(session.security:byte(2), ANONYMOUS) == 0
  finish(user, sid, session.over, is_told and EXPIRED or nil)
end

local function finish_all_over(user)
  for sid, session in pairs(user.sessions) do
    if session.over then
      finish_over(user, sid)
    end
  end
end

-- What create compares. The line stands for everybody, also for users who have no hash. Both only
-- grow, so their sum tells when either did; the greater of them would not, within a millisecond.
local function epoch_of(user)
  return tonumber(user['@e'] or '0') + NOT_BEFORE
end

local function bump_epoch(user)
  -- Derived from the time, so that it never repeats after the hash has expired.
  local epoch = math.max(tonumber(user['@e'] or '0') + 1, NOW)
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
    latest = math.max(latest, expires(session.security))
  end
  for _, entry in ipairs(bury(user)) do
    latest = math.max(latest, until_when(entry.stone))
  end
  redis.call('PEXPIRE', U, latest - NOW + LINGER)
  if not ALONE then
    redis.pcall('PEXPIRE', L, latest - NOW + LINGER)
  end
end
