-- What every script begins with: the time, and how the two parts of a session are read.
--
-- ARGV[1] now in milliseconds, or '' for the server's own clock (never '' only in tests)
-- ARGV[2] tag of the question; the first thing in the reply, so that a reply which belongs to
--         another question is noticed
-- ARGV[3] not_before: sessions created earlier are over for everyone
-- ARGV[4] retention of events in milliseconds
-- The script's own arguments start at ARGV[5].
--
-- Constants in capitals that are not defined here are written in front by script.py, from the
-- Python modules that own them. Positions are those of gatehound.stores.record, counted from 1.
-- Numbers are doubles: times of 48 bits stay exact.
--
-- Security part  1 version, 2 flags, 3 aal, 4-5 methods, 6-9 sid tag, 10-25 secret hash,
--                26-31 created, 32-36 expires, 37-40 idle in seconds, and perhaps
--                41-45 authenticated, 46-50 rotated. But for created, times count from it.
-- Seen part      1 version, 2-7 last seen, 8 shape, 9-14 agent, then pairs of 6 bytes, place, address
-- Previous       1 version, 2-17 secret hash, 18-23 rotated, 24-29 confirmed, 30-33 grace
-- Tombstone      1 version, 2 reason, 3-8 when, 9-11 how many seconds it is of use

local NOW = tonumber(ARGV[1])
if not NOW then
  local time = redis.call('TIME')
  NOW = time[1] * 1000 + math.floor(time[2] / 1000)
end
local TAG, NOT_BEFORE, RETENTION = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function long(data, position)
  return (struct.unpack('>I6', data, position))
end

local function int(data, position)
  return (struct.unpack('>I4', data, position))
end

local function pack_long(number)
  return struct.pack('>I6', number)
end

local function pack_span(number)
  return struct.pack('>I5', math.max(number, 0))
end

local function created(security)
  return long(security, 26)
end

local function expires(security)
  return long(security, 26) + struct.unpack('>I5', security, 32)
end

local function readable(security, seen)
  return READS[security:byte(1)] and #security >= SECURITY_BYTES
    and seen and READS[seen:byte(1)] and #seen >= SEEN_BYTES
end

-- An older release must not guess at what a newer one wrote: the whole script fails, before
-- its first write.
local function unreadable()
  error('GHVERSION a session of another release, or a damaged one')
end

local function check(security, seen)
  if not readable(security, seen) then
    unreadable()
  end
end

-- The rule of gatehound.stores.record.expiry, with revoke_everyone in front.
local function over(security, seen)
  if created(security) < NOT_BEFORE then
    return EVERYONE
  elseif NOW >= expires(security) then
    return ABSOLUTE
  elseif NOW >= long(seen, 2) + int(security, 37) * 1000 then
    return IDLE
  end
end

-- The rule of gatehound.stores.rule.standing_of_previous.
local function standing(security, previous, hash)
  if security:sub(10, 25) == hash then
    return 'live', ''
  elseif not previous or previous:sub(2, 17) ~= hash then
    return 'reused', 'stale'
  end
  local rotated, confirmed, grace = long(previous, 18), long(previous, 24), int(previous, 30)
  if grace == NO_GRACE then
    if NOW < rotated + SUPERSEDED_FOR then
      return 'superseded', ''
    end
    return 'reused', 'recent'
  elseif confirmed == 0 then
    if NOW < rotated + UNCONFIRMED_FOR then
      return 'grace', ''
    end
    return 'reused', 'orphan'
  elseif NOW < confirmed + grace then
    return 'grace', ''
  end
  return 'reused', 'recent'
end

local function until_when(stone)
  return long(stone, 3) + 1000 * (struct.unpack('>I3', stone, 9))
end

local function stands(stone)
  return NOW < until_when(stone)
end
