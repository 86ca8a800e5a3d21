#!lua flags=allow-oom
-- release-order: gives back what an order holds in this partition. An order that was refused in another partition is
-- forgotten too: a refusal binds no retry.
-- KEYS[1] fence  the fence key of the partition
-- INPUT  { orderId, forget 0/1 }
-- BODY   { 'RELEASED' | 'REPLAY' | 'NOT_FOUND', { { purchaseId, purchase } … } }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include orders
local ORDER, FORGET = INPUT[1], INPUT[2]
local known = read_order(ORDER)
if not known then return reply('OK', { 'NOT_FOUND', {} }) end
local outcome, rows, is_bought = 'REPLAY', {}, false
for _, id in ipairs(known[2]) do
  local p = purchases[id]
  local sale = p and open_sale(p[SALE])
  local s = sale and open_sku(p[SALE], p[SKU])
  if s then
    settle_state(sale)
    rows[#rows + 1] = { id, p }
    is_bought = is_bought or p[STATUS] == 'CONFIRMED'
    if IS_HELD[p[STATUS]] then
      end_hold(sale, s, id, p, 'CANCELLED', 'ORDER_CANCELLED')
      outcome = 'RELEASED'
    end
  end
end
local budget = 256
for _, s in ipairs(sku_order) do
  if s.is_changed then budget = offer(sales[s.sale_id], s, budget) end
end
if FORGET == 1 and not is_bought then further[#further + 1] = { 'DEL', order_key(ORDER) } end
commit()
return reply('OK', { outcome, rows })
