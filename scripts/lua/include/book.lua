-- The book of one call: what it read, what it decided, and the one place where it writes. Lua is not transactional, so
-- a verb decides everything on these tables first; `commit` writes it all, and what it writes cannot be refused.
--- @include purchase
--- @include unsold
local sales, skus = {}, {} -- by id; by '<sale> <sku>'
local purchases, corrupt = {}, {} -- by id
local touched, movements = {}, {} -- ids in the order of their first change; { available, held, sold } by id
local records = {} -- outbox records that are no purchases
local sku_order = {} -- the SKUs that were opened, in that order: what several of them compete for goes by it
local plans = {} -- by sale id: when the clock is to look at it next, or false
local further = {} -- other commands of the verb, { command, key, … }

local SALE_NUMBERS = { 'version', 'opensAt', 'closesAt', 'holdMs', 'perBuyerLimit', 'lineLimit',
  'admissionPerSecond', 'startBacklogLimit', 'unstarted', 'tokens', 'tokensAt', 'closing', 'purgeAt' }
local STOCK_NUMBERS = { 'loaded', 'available', 'held', 'sold', 'waiting', 'lastTicket', 'version', 'unitPrice', 'everywhere' }

-- Numbers of a hash, and `as_read`: what is written back is what has changed.
local function take_numbers(values, offset, names, into)
  local as_read = {}
  for i, name in ipairs(names) do
    local number = tonumber(values[offset + i] or 0)
    into[name], as_read[name] = number, number
  end
  into.as_read = as_read
  return into
end


-- The sale, or nil. `buyers` caches what its buyers hold: { units, ids }.
local function open_sale(id)
  if sales[id] ~= nil then return sales[id] or nil end
  local values = redis.call('HMGET', sale_key(id), 'status', 'skus', unpack(SALE_NUMBERS))
  local status = values[1]
  if not status then
    sales[id] = false
    return nil
  end
  local sale = { id = id, status = status, skus_text = values[2] or '', buyers = {}, buyers_changed = {} }
  sales[id] = take_numbers(values, 2, SALE_NUMBERS, sale)
  sale.as_read.status = status
  return sale
end

-- Its SKUs: taken apart only where all of them are asked for, since a sale may have a thousand.
local function skus_of(sale)
  if not sale.skus then
    sale.skus = {}
    for sku in string.gmatch(sale.skus_text, '%S+') do sale.skus[#sale.skus + 1] = sku end
  end
  return sale.skus
end

-- Asks one of a SKU's sorted sets. Where another type of key was put in its place, the answer is nothing, and the SKU sells
-- no more; the other SKUs of the call are served all the same.
local function read_sorted(s, ...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  s.fault, s.blocked = tostring(answer.err), 'FAULT'
  return {}
end

-- When the first hold ends, 0 without one. Asked once, and again after holds have left.
local function first_hold(s)
  if not s.first_hold then
    local first = read_sorted(s, 'ZRANGE', sku_key('holds', s.sale_id, s.sku), 0, 0, 'WITHSCORES')
    s.first_hold = tonumber(first[2] or 0)
  end
  return s.first_hold
end

-- `s` goes into the book, with room for what will be decided on it.
local function enter_sku(s)
  s.line_add, s.line_rem, s.big_add, s.big_rem, s.holds_add, s.holds_rem = {}, {}, {}, {}, {}, {}
  s.tickets_add, s.orders_add, s.left, s.lots, s.lots_add, s.word_of = {}, {}, {}, {}, {}, {}
  skus[s.member], sku_order[#sku_order + 1] = s, s
  return s
end

-- The counts of a SKU in a sale, or nil.
local function open_sku(sale_id, sku)
  local member = agenda_member(sale_id, sku)
  if skus[member] ~= nil then return skus[member] or nil end
  local key = sku_key('stock', sale_id, sku)
  local values = redis.call('HMGET', key, 'currency', 'blocked', 'number', unpack(STOCK_NUMBERS))
  local currency, blocked = values[1], values[2] or ''
  if not currency then
    skus[member] = false
    return nil
  end
  local s = take_numbers(values, 3, STOCK_NUMBERS, { sale_id = sale_id, sku = sku, member = member })
  s.currency, s.blocked, s.was_blocked = currency, blocked, blocked ~= ''
  s.number = tonumber(values[3])
  if s.number then
    names_of_skus[s.number] = { sale_id, sku, s.unitPrice, currency }
  else
    s.fault, s.blocked = 'its number is gone', 'FAULT'
  end
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
--- @include changes
