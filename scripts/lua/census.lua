#!lua flags=no-writes
-- census: the purchases of a SKU in the order of their tickets, then the holds of orders, at most 256 a call. The audit
-- sums them up again and compares with the counts.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, from }      from: 1 for the first page, then `next` of the page before
-- BODY   { counters, { { purchaseId, purchase or false } … }, next or 0 } or false where the SKU is unknown
--- @include call
--- @include book
--- @include commit
local SALE_ID, SKU_NAME, FROM = INPUT[1], INPUT[2], INPUT[3]
local sale = open_sale(SALE_ID)
local s = sale and open_sku(SALE_ID, SKU_NAME)
if not s then return reply('OK', false) end
local tickets, orders = sku_key('tickets', SALE_ID, SKU_NAME), sku_key('orders', SALE_ID, SKU_NAME)
local last = redis.call('LLEN', tickets)
local total = last + redis.call('LLEN', orders)
local ids
if FROM <= last then
  ids = ids_of(redis.call('LRANGE', tickets, FROM - 1, FROM + 254))
else
  ids = redis.call('LRANGE', orders, FROM - last - 1, FROM - last + 254)
end
read_into_book(ids)
local rows = {}
for i, id in ipairs(ids) do rows[i] = { id, purchases[id] or false } end
local next_from = FROM + #ids
return reply('OK', { counters_of(s), rows, (#ids > 0 and next_from <= total) and next_from or 0 })
