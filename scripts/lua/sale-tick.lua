#!lua flags=allow-oom
-- sale-tick: what time does to the sales of a partition: opening, closing, the next slice of a line that ends, and, 24 h
-- after the close, the purge of what Postgres has by then.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { }
-- BODY   { moved, hasMore }
--- @include call
--- @include book
--- @include buyers
--- @include commit
--- @include line
--- @include state
local due = redis.call('ZRANGEBYSCORE', SCHEDULE, '-inf', string.format('%.0f', NOW), 'LIMIT', 0, 16)
local budget, purges, plans = 256, {}, {}

-- Deletes a slice of the purchases of an ended sale. True when nothing is left of it.
local function purge_slice(sale)
  for _, sku in ipairs(sale.skus) do
    for _, what in ipairs({ 'tickets', 'orders' }) do
      local list = sku_key(what, sale.id, sku)
      local ids = redis.call('LRANGE', list, 0, 255)
      if #ids > 0 then
        for _, id in ipairs(ids) do redis.call('DEL', purchase_key(id)) end
        redis.call('LTRIM', list, #ids, -1)
        return false
      end
    end
  end
  for _, sku in ipairs(sale.skus) do
    for _, what in ipairs({ 'stock', 'line', 'big', 'holds', 'tickets', 'orders' }) do
      redis.call('DEL', sku_key(what, sale.id, sku))
    end
  end
  redis.call('DEL', sale_key(sale.id), buyers_key(sale.id))
  return true
end

local function has_holds(sale)
  for _, sku in ipairs(sale.skus) do
    local s = open_sku(sale.id, sku)
    if s and s.held > 0 then return true end
  end
  return false
end

for _, id in ipairs(due) do
  local sale = open_sale(id)
  if not sale then
    plans[id] = false
  else
    settle_state(sale)
    if sale.status == 'CLOSED' and sale.closing == 1 and budget > 0 then budget = end_line(sale, budget) end
    plans[id] = plan_schedule(sale) or false
    if sale.status == 'CLOSED' and sale.closing == 0 and NOW >= sale.purgeAt then
      plans[id] = NOW + 60000 -- later, should Postgres not have it all yet
      if SEQ == APPLIED and not has_holds(sale) then purges[#purges + 1] = sale end
    end
  end
end
commit()
for id, at in pairs(plans) do
  if at then redis.call('ZADD', SCHEDULE, string.format('%.0f', at), id) else redis.call('ZREM', SCHEDULE, id) end
end
for _, sale in ipairs(purges) do
  if purge_slice(sale) then
    redis.call('ZREM', SCHEDULE, sale.id)
  else
    redis.call('ZADD', SCHEDULE, string.format('%.0f', NOW), sale.id)
  end
end
return reply('OK', { #due, (#due > 0 and (budget <= 0 or #purges > 0)) and 1 or 0 })
