#!lua flags=allow-oom
-- doubt: a process was told of more than this Redis has, in the same epoch: what was acknowledged is lost here. Nobody sells
-- on before this Redis was compared with Postgres again, where that process has written down what it saw.
-- KEYS[1] fence  the fence key of the partition
-- ARGV[1] epoch   ARGV[2] the seq that was seen
-- Reply: 1 when it is to be checked again
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if known[1] ~= ARGV[1] or tonumber(known[2] or 0) >= tonumber(ARGV[2]) then return 0 end
return redis.call('HDEL', KEYS[1], 'run')
