#!lua flags=allow-oom
-- release-order: gives back what an order holds in this partition.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { orderId }
-- BODY   { 'RELEASED' | 'REPLAY' | 'NOT_FOUND', { { purchaseId, purchase } … } }
--- @include call
--- @include book
--- @include buyers
--- @include commit
--- @include line
--- @include holds
--- @include state
local ids = redis.call('LRANGE', order_key(INPUT[1]) .. ':ids', 0, -1)
if #ids == 0 then return reply('OK', { 'NOT_FOUND', {} }) end
read_into_book(ids)
local outcome, rows = 'REPLAY', {}
for _, id in ipairs(ids) do
  local p = purchases[id]
  local sale = p and open_sale(p[SALE])
  local s = sale and open_sku(p[SALE], p[SKU])
  if s then
    rows[#rows + 1] = { id, p }
    if IS_HELD[p[STATUS]] then
      end_hold(sale, s, id, p, 'CANCELLED', 'ORDER_CANCELLED')
      outcome = 'RELEASED'
    end
  end
end
local budget = 256
for _, s in pairs(skus) do
  if s and s.is_changed then budget = offer(sales[s.sale_id], s, budget) end
end
commit()
return reply('OK', { outcome, rows })
