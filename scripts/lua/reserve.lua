#!lua
-- reserve: a batch of purchases of one SKU, in the order in which they came. Each is looked up by id first (a retry gets
-- its first answer, as it is now), then checked, then RESERVED with a hold, or WAITING with a ticket, or refused. Who is
-- refused leaves nothing behind.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, { { purchaseId, buyer, quantity, fingerprint } … }, backlogMax }   at most 512 items
-- BODY   { context, { { 'p', isReplay, purchase } | { 'r', code, purchaseId } … } }         one per item, in order
--- @include call
--- @include book
--- @include buyers
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include memory
--- @include context
local SALE_ID, SKU_NAME, ITEMS, BACKLOG_MAX = INPUT[1], INPUT[2], INPUT[3], INPUT[4]

local function is_word(text) return type(text) == 'string' and #text <= 100 and string.find(text, '^%S+$') ~= nil end

local function is_sound(item)
  if type(item) ~= 'table' then return false end
  local id, buyer, quantity = item[1], item[2], item[3]
  return is_word(id) and is_word(buyer) and type(item[4]) == 'string' and #item[4] <= 100
    and type(quantity) == 'number' and quantity >= 1 and quantity <= 1000000 and quantity % 1 == 0
end

local function refuse_all(code)
  local results = {}
  for i, item in ipairs(ITEMS) do
    results[i] = { 'r', is_sound(item) and purchases[item[1]] and 'KEY_REUSED' or code, '' }
  end
  return reply('OK', { false, results })
end

local sale = open_sale(SALE_ID)
if not sale then return refuse_all('SALE_NOT_FOUND') end
local ids, names = {}, {}
for _, item in ipairs(ITEMS) do
  if is_sound(item) then ids[#ids + 1], names[#names + 1] = item[1], item[2] end
end
read_into_book(ids)
local s = open_sku(SALE_ID, SKU_NAME)
if not s then return refuse_all('SKU_NOT_FOUND') end
read_buyers(sale, names)

local closed_gate = gate(BACKLOG_MAX)
settle_state(sale)
if not closed_gate then
  expire_due(sale, s, 64)
  offer(sale, s, 256)
end

local function why_refused(item)
  local quantity = item[3]
  if sale.status == 'CLOSED' then return 'SALE_CLOSED' end
  if sale.status == 'PAUSED' or s.blocked ~= '' then return 'SALE_PAUSED' end
  if closed_gate then return closed_gate end
  local entry = buyer_of(sale, item[2])
  if sale.perBuyerLimit > 0 and entry.units + quantity > sale.perBuyerLimit then
    return 'LIMIT_EXCEEDED', live_of(entry)
  end
  if quantity > s.loaded - s.sold then return 'SOLD_OUT' end
  return nil
end

-- Free stock, nobody before, and the sale admits. Where only the throttle stands in the way, also when to ask again.
local function may_reserve(quantity)
  if sale.status ~= 'OPEN' or s.waiters > 0 or quantity > s.available then return false end
  return take_admission(sale)
end

-- The id was used for this very wish: a retry.
local function is_same(p, item)
  return p[BUYER] == item[2] and p[FINGERPRINT] == item[4] and p[QUANTITY] == item[3] and p[SALE] == SALE_ID
    and p[SKU] == SKU_NAME
end

local function start_wait(id, p)
  s.line_add[#s.line_add + 1], s.line_add[#s.line_add + 2] = p[TICKET], id
  if p[QUANTITY] > 1 then s.big_add[#s.big_add + 1], s.big_add[#s.big_add + 2] = p[QUANTITY], id end
  s.waiters, s.waiting = s.waiters + 1, s.waiting + p[QUANTITY]
  touch(id, p, 0, 0, 0)
end

local function decide(item)
  if not is_sound(item) then return { 'r', 'BAD_REQUEST', '' } end
  local id, quantity = item[1], item[3]
  local known = purchases[id]
  if known then
    if not is_same(known, item) then return { 'r', 'KEY_REUSED', '' } end
    return { 'p', 1, known }
  end
  if corrupt[id] then return { 'r', 'BAD_REQUEST', '' } end
  local code, live = why_refused(item)
  if code then return { 'r', code, live or '' } end
  local is_reserved, later = may_reserve(quantity)
  local line_limit = sale.lineLimit < 0 and 2 * s.loaded or sale.lineLimit
  if not is_reserved and sale.status == 'OPEN' and s.waiting + quantity > line_limit then
    return { 'r', 'LINE_FULL', '' }
  end
  s.lastTicket = s.lastTicket + 1
  local p = { 0, 'WAITING', item[2], SALE_ID, SKU_NAME, quantity, s.lastTicket, 0, s.unitPrice, s.currency, NOW, NOW,
    '', '', item[4], 0, 0 }
  purchases[id], s.tickets_add[#s.tickets_add + 1] = p, id
  if is_reserved then
    start_hold(sale, s, id, p)
  else
    start_wait(id, p)
    s.look_at = later or s.look_at
  end
  count_buyer(sale, p, id)
  return { 'p', 0, p }
end

local results = {}
for i, item in ipairs(ITEMS) do results[i] = decide(item) end
commit()
return reply('OK', { context_of(sale, s), results })
