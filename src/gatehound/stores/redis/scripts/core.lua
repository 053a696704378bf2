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
-- Numbers are doubles: milliseconds take 41 bits until 2039 and stay exact.

local NOW = tonumber(ARGV[1])
if not NOW then
  local time = redis.call('TIME')
  NOW = time[1] * 1000 + math.floor(time[2] / 1000)
end
local TAG, NOT_BEFORE, RETENTION = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function long(data, position)
  return (struct.unpack('>I8', data, position))
end

local function int(data, position)
  return (struct.unpack('>I4', data, position))
end

local function pack_long(number)
  return struct.pack('>I8', number)
end

local function readable(security, seen)
  return security:byte(1) == VERSION and #security >= SECURITY_BYTES
    and seen and seen:byte(1) == VERSION and #seen >= SEEN_BYTES
end

-- An older release must not guess at what a newer one wrote: the whole script fails, before
-- its first write.
local function check(security, seen)
  if not readable(security, seen) then
    error('GHVERSION a session of another release, or a damaged one')
  end
end

-- The rule of gatehound.stores.record.expiry, with revoke_everyone in front.
local function over(security, seen)
  if long(security, 24) < NOT_BEFORE then
    return EVERYONE
  elseif NOW >= long(security, 40) then
    return ABSOLUTE
  elseif NOW >= long(seen, 2) + int(security, 48) * 1000 then
    return IDLE
  end
end

-- The rule of gatehound.stores.rule.standing_of_previous. A previous secret is stored as
-- version, hash (2-17), rotated (18-25), confirmed (26-33), grace (34-37).
local function standing(security, previous, hash)
  if security:sub(8, 23) == hash then
    return 'live', ''
  elseif not previous or previous:sub(2, 17) ~= hash then
    return 'reused', 'stale'
  end
  local rotated, confirmed = long(previous, 18), long(previous, 26)
  local grace = int(previous, 34)
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

-- A tombstone says in its last 8 bytes until when it is of use.
local function stands(stone)
  return #stone < 18 or NOW < long(stone, 11)
end
