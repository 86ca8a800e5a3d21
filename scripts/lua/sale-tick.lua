#!lua flags=allow-oom
-- sale-tick: what time does to the sales of a partition: opening, closing, the next slice of a line that ends, and, 24 h
-- after the close, the purge of what Postgres has by then, 256 purchases a call.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { }
-- BODY   { moved, hasMore }
--- @include call
--- @include book
--- @include forget
--- @include commit
--- @include line
--- @include state
local SALES_A_CALL = 16
local due = redis.call('ZRANGEBYSCORE', SCHEDULE, '-inf', string.format('%d', NOW), 'LIMIT', 0, SALES_A_CALL)
local budget, has_purged = 256, false

local function also(...) further[#further + 1] = { ... } end

-- Deletes a slice of the purchases of an ended sale. True when nothing is left of it.
local function purge_slice(sale)
  for _, sku in ipairs(skus_of(sale)) do
    for _, what in ipairs({ 'tickets', 'orders' }) do
      local list = sku_key(what, sale.id, sku)
      local ids = redis.call('LRANGE', list, 0, 255)
      if #ids > 0 then
        remove_records(what == 'tickets' and ids_of(ids) or ids)
        also('LTRIM', list, #ids, -1)
        return false
      end
    end
  end
  for _, sku in ipairs(skus_of(sale)) do
    for _, what in ipairs({ 'stock', 'big', 'holds', 'ends', 'tickets', 'orders', 'lots' }) do
      also('UNLINK', sku_key(what, sale.id, sku))
    end
    local s = open_sku(sale.id, sku)
    if s and s.number then also('HDEL', SKUS, s.number) end
    also('ZREM', DEADLINES, agenda_member(sale.id, sku))
    also('ZREM', ADMISSIONS, agenda_member(sale.id, sku))
  end
  also('UNLINK', sale_key(sale.id), strays_key(sale.id))
  return true
end

local function has_holds(sale)
  for _, sku in ipairs(skus_of(sale)) do
    local s = open_sku(sale.id, sku)
    if s and s.held > 0 then return true end
  end
  return false
end

-- When to come back to a sale whose time in Redis is over, or false when it is gone.
local function purge(sale)
  if SEQ ~= APPLIED or has_holds(sale) then return NOW + 60000 end -- Postgres does not have it all yet
  if has_purged then return NOW end
  has_purged = true
  return not purge_slice(sale) and NOW
end

for _, id in ipairs(due) do
  local sale = open_sale(id)
  if not sale then
    plans[id] = false
  else
    settle_state(sale)
    if sale.status == 'CLOSED' and sale.closing == 1 and budget > 0 then budget = end_line(sale, budget) end
    plans[id] = plan_schedule(sale) or false
    if sale.status == 'CLOSED' and sale.closing == 0 and NOW >= sale.purgeAt then plans[id] = purge(sale) end
  end
end
commit()
return reply('OK', { #due, (#due == SALES_A_CALL or budget <= 0 or has_purged) and 1 or 0 })
