#!lua
-- reserve-order: a checkout's hold on several SKUs of one partition, all or nothing, once per order. It takes no ticket,
-- counts for no buyer, and never takes stock while somebody waits.
-- KEYS[1] fence  the fence key of the sales' partition
-- INPUT  { orderId, fingerprint, { { newPurchaseId, saleId, sku, quantity } … }, backlogMax }    sorted, one line a SKU
-- BODY   { 'RESERVED' | 'REPLAY' | 'KEY_REUSED' | refusal, sku or '', { { purchaseId, purchase } … } }
--- @include call
--- @include book
--- @include buyers
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include memory
local ORDER, PRINT, LINES, BACKLOG_MAX = INPUT[1], INPUT[2], INPUT[3], INPUT[4]
local ids, rows = {}, {}
for i, line in ipairs(LINES) do ids[i] = line[1] end

local function answer(code, sku) return reply('OK', { code, sku or '', rows }) end

-- The holds of an earlier call are the answer, unless all of them have ended: then the order may try again.
local known = redis.call('GET', order_key(ORDER))
if known and known ~= PRINT then return answer('KEY_REUSED') end
if known then
  local earlier, is_alive = redis.call('LRANGE', order_key(ORDER) .. ':ids', 0, -1), false
  read_into_book(earlier)
  for i, id in ipairs(earlier) do
    local p = purchases[id]
    rows[i] = { id, p or false }
    is_alive = is_alive or (p and (IS_HELD[p[STATUS]] or p[STATUS] == 'CONFIRMED'))
  end
  if is_alive then return answer('REPLAY') end
  rows = {}
end
local closed_gate = gate(BACKLOG_MAX)
if closed_gate then return answer(closed_gate) end

local function why_refused(line)
  local quantity = line[4]
  if type(quantity) ~= 'number' or quantity < 1 or quantity > 1000000 or quantity % 1 ~= 0 then return 'BAD_REQUEST' end
  local sale = open_sale(line[2])
  if not sale then return 'SALE_NOT_FOUND' end
  local s = open_sku(line[2], line[3])
  if not s then return 'SKU_NOT_FOUND' end
  settle_state(sale)
  if sale.status == 'CLOSED' then return 'SALE_CLOSED' end
  if sale.status ~= 'OPEN' or s.blocked ~= '' then return 'SALE_PAUSED' end
  expire_due(sale, s, 64)
  offer(sale, s, 256)
  if s.waiters > 0 or s.available < quantity then return 'INSUFFICIENT_STOCK' end
  return nil
end

for _, line in ipairs(LINES) do
  local code = why_refused(line)
  if code then
    commit()
    return answer(code, line[3])
  end
end
for i, line in ipairs(LINES) do
  local id, sale, s = line[1], open_sale(line[2]), open_sku(line[2], line[3])
  local p = { 0, 'WAITING', '', line[2], line[3], line[4], 0, 0, s.unitPrice, s.currency, NOW, NOW, '', ORDER, PRINT, 0, 0 }
  purchases[id], s.orders_add[#s.orders_add + 1] = p, id
  start_hold(sale, s, id, p)
  rows[i] = { id, p }
end
redis.call('SET', order_key(ORDER), PRINT, 'PX', 7 * 86400000)
redis.call('DEL', order_key(ORDER) .. ':ids')
redis.call('RPUSH', order_key(ORDER) .. ':ids', unpack(ids))
redis.call('PEXPIRE', order_key(ORDER) .. ':ids', 7 * 86400000)
commit()
return answer('RESERVED')
