-- One purchase. KEYS: stock (a number), buyers (hash buyer -> units), keys (hash idempotency key -> purchase id),
-- purchases (hash id -> record). ARGV: purchase id, buyer, quantity, limit, idempotency key or '', record.
-- Returns {code, purchase id}.
if ARGV[5] ~= '' then
  local before = redis.call('HGET', KEYS[3], ARGV[2] .. ' ' .. ARGV[5])
  if before then return { 'REPLAY', before } end
end
local quantity = tonumber(ARGV[3])
if tonumber(redis.call('GET', KEYS[1]) or 0) < quantity then return { 'SOLD_OUT', '' } end
if tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or 0) + quantity > tonumber(ARGV[4]) then
  return { 'LIMIT_EXCEEDED', '' }
end
redis.call('DECRBY', KEYS[1], quantity)
redis.call('HINCRBY', KEYS[2], ARGV[2], quantity)
redis.call('HSET', KEYS[4], ARGV[1], ARGV[6])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[3], ARGV[2] .. ' ' .. ARGV[5], ARGV[1]) end
return { 'RESERVED', ARGV[1] }
