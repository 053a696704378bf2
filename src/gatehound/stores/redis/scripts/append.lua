-- Write an event that belongs to no change.
--
-- KEYS[1] ev
-- ARGV[5-9] event: name, user id, public id, reason, the rest as JSON  [10] its own time or ''
-- Reply: tag, now

open(KEYS[1]:sub(1, -3), '')
log(ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10])
return {TAG, NOW}
