#!lua flags=allow-oom
-- rebuild-end: the partition is built; whoever attaches may sell. Who listens to the feed is told to ask again.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { }
-- BODY   { }
--- @include call
redis.call('HDEL', FENCE, 'rebuilding')
redis.call('PUBLISH', FEED, cmsgpack.pack({ 'rebuilt' }))
return reply('OK', {})
