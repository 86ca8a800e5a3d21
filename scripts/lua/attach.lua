#!lua flags=allow-oom
-- attach: a process learns the partition's epoch and seq. A partition that Postgres has never seen begins with epoch 1; a
-- Redis that lacks what Postgres knows, or is behind it, stays FENCED. After a restart or a failover the first to attach is
-- told UNCHECKED: it lets the others write down what they saw, reads Postgres again, and comes back with the checked answer.
-- KEYS[1] fence  the fence key of the partition
-- ARGV[1] the epoch that Postgres knows, 0 if none   ARGV[2] the seq that Postgres knows   ARGV[3] the run that is checked by now
-- Reply: msgpack { 'OK' | 'UNCHECKED' | 'FENCED', epoch, seq, reason, or the run that is to be checked }
--- @include run
--- @include form
local epoch, seq, checked_run = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'run', 'rebuilding', 'form')
local has_epoch, has_seq = tonumber(known[1] or 0), tonumber(known[2] or 0)

local function answer(code, reason) return cmsgpack.pack({ code, has_epoch, has_seq, reason or '' }) end

if known[4] then return answer('FENCED', 'this Redis is being rebuilt') end
if not known[1] and not known[2] then
  if epoch > 0 then return answer('FENCED', 'this Redis is empty, Postgres knows the partition') end
  redis.call('HSET', KEYS[1], 'epoch', 1, 'seq', 0, 'applied', 0, 'run', run_id(), 'form', FORM)
  has_epoch = 1
  return answer('OK')
end
if not known[1] or not known[2] then return answer('FENCED', 'the fence of this Redis is damaged') end
if known[5] ~= FORM then return answer('FENCED', 'this Redis was written by another version: rebuild it') end
if epoch == 0 and has_seq > 0 then return answer('FENCED', 'this Redis belongs to another database') end
if epoch > 0 and has_epoch ~= epoch then return answer('FENCED', 'this Redis is of another epoch') end
if has_seq < seq then return answer('FENCED', 'this Redis is behind Postgres') end
local run = run_id()
if known[3] ~= run then
  if checked_run ~= run then return answer('UNCHECKED', run) end
  redis.call('HSET', KEYS[1], 'run', run)
end
return answer('OK')
