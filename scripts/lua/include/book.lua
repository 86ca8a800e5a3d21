-- The book of one call: what it read, what it decided, and the one place where it writes. Lua is not transactional, so
-- a verb decides everything on these tables first; `commit` writes it all, and what it writes cannot be refused.
--- @include purchase
local sales, skus = {}, {} -- by id; by '<sale> <sku>'
local purchases, corrupt = {}, {} -- by id
local touched, movements = {}, {} -- ids in the order of their first change; by id
local records = {} -- outbox records that are no purchases
local sku_order = {} -- the SKUs that were opened, in that order: what several of them compete for goes by it
local plans = {} -- by sale id: when the clock is to look at it next, or false
local further = {} -- other commands of the verb, { command, key, … }

local SALE_NUMBERS = { 'version', 'opensAt', 'closesAt', 'holdMs', 'perBuyerLimit', 'lineLimit',
  'admissionPerSecond', 'startBacklogLimit', 'unstarted', 'tokens', 'tokensAt', 'closing', 'purgeAt' }
local STOCK_NUMBERS = { 'loaded', 'available', 'held', 'sold', 'waiting', 'lastTicket', 'version', 'unitPrice' }

local function read_numbers(key, names, into)
  for i, value in ipairs(redis.call('HMGET', key, unpack(names))) do into[names[i]] = tonumber(value or 0) end
  return into
end

-- The sale, or nil. `buyers` caches what its buyers hold: { units, ids }.
local function open_sale(id)
  if sales[id] ~= nil then return sales[id] or nil end
  local texts = redis.call('HMGET', sale_key(id), 'status', 'skus')
  if not texts[1] then
    sales[id] = false
    return nil
  end
  local sale = read_numbers(sale_key(id), SALE_NUMBERS, { id = id, status = texts[1], buyers = {}, buyers_changed = {} })
  sale.skus = {}
  for sku in string.gmatch(texts[2] or '', '%S+') do sale.skus[#sale.skus + 1] = sku end
  sales[id] = sale
  return sale
end

-- Asks one of a SKU's sorted sets. Where another type of key was put in its place, the answer is nothing, and the SKU sells
-- no more; the other SKUs of the call are served all the same.
local function read_sorted(s, ...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  s.fault, s.blocked = tostring(answer.err), 'FAULT'
  return {}
end

-- `s` goes into the book, with room for what will be decided on it.
local function enter_sku(s)
  s.line_add, s.line_rem, s.big_add, s.big_rem, s.holds_add, s.holds_rem = {}, {}, {}, {}, {}, {}
  s.tickets_add, s.orders_add, s.left = {}, {}, {}
  skus[s.member], sku_order[#sku_order + 1] = s, s
  return s
end

-- The counts of a SKU in a sale, or nil.
local function open_sku(sale_id, sku)
  local member = agenda_member(sale_id, sku)
  if skus[member] ~= nil then return skus[member] or nil end
  local key = sku_key('stock', sale_id, sku)
  local texts = redis.call('HMGET', key, 'currency', 'blocked')
  if not texts[1] then
    skus[member] = false
    return nil
  end
  local s = read_numbers(key, STOCK_NUMBERS, { sale_id = sale_id, sku = sku, member = member })
  s.currency, s.blocked = texts[1], texts[2] or ''
  s.was_blocked = s.blocked ~= ''
  local waiters = read_sorted(s, 'ZCARD', sku_key('line', sale_id, sku))
  s.waiters = type(waiters) == 'number' and waiters or 0
  return enter_sku(s)
end

-- Reads many purchases at once into the book; those read before stay as they are now.
local function read_into_book(ids)
  local wanted = {}
  for _, id in ipairs(ids) do
    if purchases[id] == nil and not corrupt[id] then wanted[#wanted + 1] = id end
  end
  local found, bad = read_purchases(wanted)
  for _, id in ipairs(wanted) do
    purchases[id], corrupt[id] = found[id] or false, bad[id]
  end
end

-- Marks a purchase as changed by this call: one version, one record, one movement, however often it changes in it.
local function touch(id, p, available, held, sold)
  local m = movements[id]
  if not m then
    m = { 0, 0, 0, 0 }
    movements[id], touched[#touched + 1] = m, id
    p[VERSION], p[UPDATED_AT] = p[VERSION] + 1, NOW
  end
  m[1], m[2], m[3] = m[1] + available, m[2] + held, m[3] + sold
  local s = skus[agenda_member(p[SALE], p[SKU])]
  s.available, s.held, s.sold = s.available + available, s.held + held, s.sold + sold
  s.is_changed = true
end

-- A status moves; the sale counts the holds whose payment has not started.
local function set_status(sale, p, status)
  if p[ORDER_REF] == '' then
    if p[STATUS] == 'RESERVED' then sale.unstarted, sale.is_changed = math.max(0, sale.unstarted - 1), true end
    if status == 'RESERVED' then sale.unstarted, sale.is_changed = sale.unstarted + 1, true end
  end
  p[STATUS] = status
end

local function take_seq()
  SEQ = SEQ + 1
  return SEQ
end

-- Every SKU's counts carry the sale's status, so all of them get a new version.
local function set_sale_status(sale, status)
  for _, sku in ipairs(sale.skus) do
    local s = open_sku(sale.id, sku)
    if s then s.is_changed = true end
  end
  sale.status, sale.version, sale.is_changed = status, sale.version + 1, true
  records[#records + 1] = { 'e', take_seq(), sale.id, status, sale.version, NOW }
end
