#!lua flags=allow-oom
-- acknowledge: outbox entries whose records are committed in Postgres leave the stream. An entry's id is
-- `<last seq>-<records>`, so what was applied is counted from the ids; each is counted once. What is no entry's id is passed over.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { group, { entryId … } }
-- BODY   { entries removed }
--- @include call
local group, removed, applied = INPUT[1], 0, 0
for _, id in ipairs(INPUT[2]) do
  local count = type(id) == 'string' and #id <= 40 and string.match(id, '^%d+%-(%d+)$')
  if count then
    redis.call('XACK', OUTBOX, group, id)
    if redis.call('XDEL', OUTBOX, id) == 1 then removed, applied = removed + 1, applied + tonumber(count) end
  end
end
if applied > 0 then redis.call('HINCRBY', FENCE, 'applied', applied) end
return reply('OK', { removed })
