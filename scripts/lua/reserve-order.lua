#!lua
-- reserve-order: a checkout's hold on several SKUs of one partition, all or nothing, once per order. It takes no ticket,
-- counts for no buyer, and never takes stock while somebody waits. Without lines it only binds the order to its body.
-- KEYS[1] fence  the fence key of the sales' partition
-- INPUT  { orderId, fingerprint, { { newPurchaseId, saleId, sku, quantity } … }, backlogMax }    sorted, one line a SKU
-- BODY   { 'RESERVED' | 'REPLAY' | 'KEY_REUSED' | refusal, sku or '', { { purchaseId, purchase } … } }
--- @include call
--- @include book
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include memory
--- @include orders
local ORDER, PRINT, LINES, BACKLOG_MAX = INPUT[1], INPUT[2], INPUT[3], INPUT[4]
local rows = {}

local function answer(code, sku) return reply('OK', { code, type(sku) == 'string' and sku or '', rows }) end

-- Whether the holds of an earlier call are the answer. Where all of them have ended the order may try again.
local function is_answered(known)
  local is_alive = #known[2] == 0 and #LINES == 0
  for i, id in ipairs(known[2]) do
    local p = purchases[id]
    rows[i] = { id, p or false }
    is_alive = is_alive or (p and (IS_HELD[p[STATUS]] or p[STATUS] == 'CONFIRMED'))
  end
  if not is_alive then rows = {} end
  return is_alive
end

local seen = {}
local function why_refused(line)
  if type(line) ~= 'table' or type(line[1]) ~= 'string' or type(line[2]) ~= 'string' or type(line[3]) ~= 'string' then
    return 'BAD_REQUEST'
  end
  local quantity, member = line[4], agenda_member(line[2], line[3])
  if type(quantity) ~= 'number' or quantity < 1 or quantity > 1000000 or quantity % 1 ~= 0 then return 'BAD_REQUEST' end
  if seen[member] then return 'BAD_REQUEST' end
  seen[member] = true
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

local function hold(i, line)
  local id, sale, s = line[1], open_sale(line[2]), open_sku(line[2], line[3])
  local p = { 0, 'WAITING', '', line[2], line[3], line[4], 0, 0, s.unitPrice, s.currency, NOW, NOW, '', ORDER, PRINT, 0, 0 }
  purchases[id], s.orders_add[#s.orders_add + 1] = p, id
  start_hold(sale, s, id, p)
  rows[i] = { id, p }
end

if type(ORDER) ~= 'string' or #ORDER == 0 or #ORDER > 200 or type(PRINT) ~= 'string' then return answer('BAD_REQUEST') end
local known = read_order(ORDER)
if known and known[1] ~= PRINT then return answer('KEY_REUSED') end
if known and is_answered(known) then return answer('REPLAY') end
local closed_gate = gate(BACKLOG_MAX)
if closed_gate then return answer(closed_gate) end
for _, line in ipairs(LINES) do
  local code = why_refused(line)
  if code then
    commit()
    return answer(code, type(line) == 'table' and line[3] or '')
  end
end
for i, line in ipairs(LINES) do hold(i, line) end
write_order(ORDER, PRINT, rows)
commit()
return answer('RESERVED')
