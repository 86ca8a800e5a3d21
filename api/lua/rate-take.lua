-- rate-take: what one process has let through, taken from the buckets that all processes share.
-- KEYS[1] rates  the prefix of the buckets' keys; it carries their hash tag
-- ARGV[1] msgpack { { name, taken, ratePerSecond, burst, debt } … }    debt: how far below empty a bucket may go
-- Reply: msgpack { level … }, tokens in thousandths, negative where more was taken than there was
-- A bucket is "level time" under a key that ends when it would be full again: memory holds only those that are in use.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local levels = {}
for i, item in ipairs(cmsgpack.unpack(ARGV[1])) do
  local name, taken, rate, burst, debt = item[1], item[2], item[3], item[4], item[5]
  local level = burst
  local kept = redis.call('GET', KEYS[1] .. name)
  if kept then
    local before, at = kept:match('^(%S+) (%d+)$')
    level = math.min(burst, tonumber(before) + math.max(0, now - tonumber(at)) * rate / 1000)
  end
  level = math.max(-debt, level - taken)
  levels[i] = math.floor(level * 1000)
  local full = math.ceil((burst - level) * 1000 / rate)
  redis.call('SET', KEYS[1] .. name, string.format('%.3f %d', level, now), 'PX', math.max(1, full))
end
return cmsgpack.pack(levels)
