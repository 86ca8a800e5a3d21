#!lua flags=allow-oom
-- pulse: a write after everything that was read or written here before. A WAIT behind it on the same connection waits for
-- all of that, whoever wrote it; the run says which Redis process it was that answered.
-- KEYS[1] fence  the fence key of a partition
-- Reply: the run
--- @include run
redis.call('HINCRBY', KEYS[1], 'pulse', 1)
return run_id()
