#!lua flags=allow-oom
-- rebuild-sale: puts a sale and its SKUs in the place of whatever is there, with all stock available and nobody in line.
-- The purchases follow (rebuild-purchases). Only while the partition is being rebuilt.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, { opensAt, closesAt, holdMs, perBuyerLimit, lineLimit or -1, admissionPerSecond, startBacklogLimit },
--          { status, version, purgeAt or 0 }, { { sku, loaded, unitPrice, currency, version, everywhere or nil } … },
--          { { operationId, sku, by, keepMs } … } }
-- BODY   { }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include state
local SALE_ID, TERMS, STATE, ITEMS, OPERATIONS = INPUT[1], INPUT[2], INPUT[3], INPUT[4], INPUT[5]
local TERM_NAMES = { 'opensAt', 'closesAt', 'holdMs', 'perBuyerLimit', 'lineLimit', 'admissionPerSecond', 'startBacklogLimit' }
if not redis.call('HGET', FENCE, 'rebuilding') then return redis.error_reply('ERR the partition is not being rebuilt') end

local sale = { id = SALE_ID, skus = {}, is_changed = true, as_read = {}, read_from = 0 }
for _, name in ipairs(SALE_NUMBERS) do sale[name] = 0 end
for i, name in ipairs(TERM_NAMES) do sale[name] = TERMS[i] end
sale.status, sale.version, sale.purgeAt, sale.tokensAt = STATE[1], STATE[2], STATE[3], NOW
-- A line that was about to end is ended by the sweep.
if sale.status == 'CLOSED' then sale.closing = 1 end
sales[SALE_ID] = sale

redis.call('UNLINK', sale_key(SALE_ID), strays_key(SALE_ID))
for _, item in ipairs(ITEMS) do
  local sku, loaded = item[1], item[2]
  -- Purchases that are there under its old number stay readable.
  local number = tonumber(redis.pcall('HGET', sku_key('stock', SALE_ID, sku), 'number'))
  for _, what in ipairs({ 'stock', 'big', 'holds', 'ends', 'tickets', 'orders', 'lots' }) do
    redis.call('UNLINK', sku_key(what, SALE_ID, sku))
  end
  local s = new_sku(SALE_ID, sku, item[4], '')
  s.number = number
  -- Versions go on above all that were ever told, so that nobody takes the new counts for old ones.
  s.loaded, s.available, s.unitPrice, s.version, s.is_new = loaded, loaded, item[3], item[5], true
  s.everywhere = item[6] or 0
  enter_sku(s)
  sale.skus[#sale.skus + 1] = sku
  redis.call('ZREM', DEADLINES, s.member)
  redis.call('ZREM', ADMISSIONS, s.member)
end
write_sale(sale)
for _, s in ipairs(sku_order) do write_sku(s) end
local at = plan_schedule(sale)
if at then redis.call('ZADD', SCHEDULE, string.format('%.0f', at), SALE_ID) else redis.call('ZREM', SCHEDULE, SALE_ID) end
for _, o in ipairs(OPERATIONS) do
  redis.call('SET', operation_key(o[1]), string.format('%s %.0f', agenda_member(SALE_ID, o[2]), o[3]), 'PX', o[4])
end
return reply('OK', {})
