#!lua flags=allow-oom
-- rebuild-purchases: a slice of a SKU's purchases, in the order of their tickets, each into the place that its status gives
-- it: the line, the holds, what is sold; and into what its buyer has. Only while the partition is being rebuilt.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, { { purchaseId, purchase } … } }      at most 256
-- BODY   counters
--- @include call
--- @include book
--- @include buyers
--- @include commit
local SALE_ID, SKU_NAME, ROWS = INPUT[1], INPUT[2], INPUT[3]
if not redis.call('HGET', FENCE, 'rebuilding') then return redis.error_reply('ERR the partition is not being rebuilt') end
local sale = open_sale(SALE_ID)
local s = sale and open_sku(SALE_ID, SKU_NAME)
if not s then return redis.error_reply('ERR the SKU was not built') end

local names = {}
for i, row in ipairs(ROWS) do names[i] = row[2][BUYER] end
read_buyers(sale, names)

local function place(id, p)
  local quantity, status = p[QUANTITY], p[STATUS]
  if status == 'WAITING' then
    if s.waiters == 0 then s.head = p[TICKET] end
    if quantity > 1 then s.big_add[#s.big_add + 1], s.big_add[#s.big_add + 2] = quantity, id end
    s.waiters, s.waiting = s.waiters + 1, s.waiting + quantity
  elseif IS_HELD[status] then
    add_hold(s, id, p[TICKET], p[EXPIRES_AT])
    s.held, s.available, s.holders = s.held + quantity, s.available - quantity, s.holders + 1
    if status == 'RESERVED' and p[ORDER_REF] == '' then count_starts(sale, 1) end
  elseif status == 'CONFIRMED' then
    s.sold, s.available = s.sold + quantity, s.available - quantity
  else
    return
  end
  count_buyer(sale, p)
end

local values = {}
for _, row in ipairs(ROWS) do
  local id, p = row[1], row[2]
  values[#values + 1], values[#values + 2] = field_of(id), pack(p[BUYER], p[TICKET]) .. tail_of(p, s.number)
  local list = p[TICKET] > 0 and s.tickets_add or s.orders_add
  list[#list + 1] = id
  s.lastTicket = math.max(s.lastTicket, p[TICKET])
  place(id, p)
end
call_in_chunks('HSET', PURCHASES, values)
sale.is_changed = true
write_sale(sale)
write_sku(s)
write_holds(s)
write_agenda(s)
if s.waiting > 0 then redis.call('ZADD', ADMISSIONS, string.format('%.0f', NOW), s.member) end
return reply('OK', counters_of(s))
