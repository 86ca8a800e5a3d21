#!lua flags=no-writes
-- sku-blocks: the SKUs of a sale that are blocked, and why.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId }
-- BODY   { { sku, reason, note, since in ms or 0 } … }
--- @include call
--- @include book
local SALE_ID = INPUT[1]
local sale, rows = open_sale(SALE_ID), {}
for _, sku in ipairs(sale and skus_of(sale) or {}) do
  local found = redis.call('HMGET', sku_key('stock', SALE_ID, sku), 'blocked', 'blockedNote', 'blockedAt')
  if found[1] and found[1] ~= '' then
    rows[#rows + 1] = { sku, found[1], found[2] or '', tonumber(found[3] or 0) }
  end
end
return reply('OK', rows)
