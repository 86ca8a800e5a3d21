#!lua flags=allow-oom
-- rebuild-purchases: a slice of a SKU's purchases, in the order of their tickets, each into the place that its status gives
-- it: the line, the holds, what is sold. Only while the partition is being rebuilt.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, { { purchaseId, purchase, print of its buyer in its sale } … } }      at most 256
-- BODY   counters
--- @include call
--- @include book
--- @include forget
--- @include limit
--- @include commit
local SALE_ID, SKU_NAME, ROWS = INPUT[1], INPUT[2], INPUT[3]
if not redis.call('HGET', FENCE, 'rebuilding') then return redis.error_reply('ERR the partition is not being rebuilt') end
local sale = open_sale(SALE_ID)
local s = sale and open_sku(SALE_ID, SKU_NAME)
if not s then return redis.error_reply('ERR the SKU was not built') end

-- What stands there by now: purchases of other SKUs that are built, and, in the rebuild of one sale, what is replaced.
local fields, notes = {}, {}
for i, row in ipairs(ROWS) do fields[i] = field_of(row[1]) end
read_folders(fields)
for _, field in ipairs(fields) do drop_unreadable(field) end

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
  end
end

for i, row in ipairs(ROWS) do
  local id, p, print = row[1], row[2], row[3]
  local record = pack(rest_of(id), p[BUYER], p[TICKET]) .. tail_of(p, s.number)
  local is_there = place_in(records_of(folders[fields[i]]), rest_of(id))
  if is_there then put_record(fields[i], rest_of(id), record) else add_record(sale, fields[i], id, record) end
  if p[BUYER] ~= '' and fields[i] ~= print then notes[#notes + 1] = { p[BUYER], print, id } end
  if p[TICKET] > 0 then s.tickets_add[#s.tickets_add + 1] = short_of(id) else s.orders_add[#s.orders_add + 1] = id end
  s.lastTicket = math.max(s.lastTicket, p[TICKET])
  place(id, p)
end
write_folders()
note_strays(sale, notes)
sale.is_changed = true
write_sale(sale)
write_sku(s)
write_holds(s)
write_agenda(s)
if s.waiting > 0 then redis.call('ZADD', ADMISSIONS, string.format('%.0f', NOW), s.member) end
return reply('OK', counters_of(s))
