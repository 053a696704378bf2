-- Read a shelf, or write it where nobody else did since it was read.
--
-- KEYS[1] shelf:<name>: a version of 8 bytes, and the data
-- ARGV[5] the version that must be there, as 8 bytes  [6] what to write; neither: read
-- Reply: tag, now, and what lies there, or 1 where it was written and 0 where not

local stored = redis.call('GET', KEYS[1])
if not ARGV[5] then
  return {TAG, NOW, stored or ''}
end
local version = stored and stored:sub(1, 8) or string.rep('\0', 8)
if version ~= ARGV[5] then
  return {TAG, NOW, 0}
end
redis.call('SET', KEYS[1], ARGV[6])
return {TAG, NOW, 1}
