#!lua flags=allow-oom
-- rebuild-begin: from now on this Redis answers nobody but the one that rebuilds it, who alone knows the new epoch. Positions
-- go on above everything that anybody ever saw.
-- KEYS[1] fence  the fence key of the partition
-- ARGV[1] the new epoch   ARGV[2] the seq to go on from
-- Reply: msgpack { 'OK' | 'FENCED', seq }
--- @include run
--- @include form
local epoch, known = tonumber(ARGV[1]), redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'applied')
if tonumber(known[1] or 0) >= epoch then return cmsgpack.pack({ 'FENCED', 0 }) end
local had, seq = tonumber(known[2] or 0), math.max(tonumber(known[2] or 0), tonumber(ARGV[2]))
-- What waits in the outbox is still to be applied, and counted then.
local applied = seq - math.max(0, had - tonumber(known[3] or 0))
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', string.format('%.0f', seq), 'applied', string.format('%.0f', applied),
  'run', run_id(), 'rebuilding', ARGV[1],
  'form', FORM)
return cmsgpack.pack({ 'OK', seq })
