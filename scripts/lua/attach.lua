#!lua flags=allow-oom
-- attach: a starting process learns the partition's epoch and seq. A partition that Postgres has never seen begins with
-- epoch 1; a Redis that lacks what Postgres knows, or is behind it, stays FENCED.
-- KEYS[1] fence  the fence key of the partition
-- ARGV[1] the epoch that Postgres knows, 0 if none   ARGV[2] the seq that Postgres knows
-- Reply: msgpack { 'OK' | 'FENCED', epoch, seq, reason }
local epoch, seq = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if not known[1] and not known[2] then
  if epoch > 0 then return cmsgpack.pack({ 'FENCED', 0, 0, 'this Redis is empty, Postgres knows the partition' }) end
  redis.call('HSET', KEYS[1], 'epoch', 1, 'seq', 0, 'applied', 0)
  return cmsgpack.pack({ 'OK', 1, 0, '' })
end
local has_epoch, has_seq = tonumber(known[1] or 0), tonumber(known[2] or 0)
if not known[1] or not known[2] then
  return cmsgpack.pack({ 'FENCED', has_epoch, has_seq, 'the fence of this Redis is damaged' })
end
if epoch == 0 and has_seq > 0 then
  return cmsgpack.pack({ 'FENCED', has_epoch, has_seq, 'this Redis belongs to another database' })
end
if epoch > 0 and has_epoch ~= epoch then
  return cmsgpack.pack({ 'FENCED', has_epoch, has_seq, 'this Redis is of another epoch' })
end
if has_seq < seq then
  return cmsgpack.pack({ 'FENCED', has_epoch, has_seq, 'this Redis is behind Postgres' })
end
return cmsgpack.pack({ 'OK', has_epoch, has_seq, '' })
