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
  'admissionPerSecond', 'startBacklogLimit', 'unstarted', 'tokens', 'tokensAt', 'closing', 'purgeAt', 'strays' }
-- `holders` and `waiters`: purchases, where `held` and `waiting` are units. `head`: who waits has this ticket or a later one.
local STOCK_NUMBERS = { 'loaded', 'available', 'held', 'sold', 'waiting', 'lastTicket', 'version', 'unitPrice', 'everywhere',
  'holders', 'waiters', 'head' }

-- Numbers of a hash into the table made for them. What is written back is what differs from `as_read` behind place `read_from`.
local function take_numbers(values, offset, names, into)
  for i = 1, #names do
    local number = tonumber(values[offset + i] or 0)
    into[names[i]], values[offset + i] = number, number
  end
  into.as_read, into.read_from = values, offset
  return into
end

-- The sale, or nil.
local function open_sale(id)
  if sales[id] ~= nil then return sales[id] or nil end
  local values = redis.call('HMGET', sale_key(id), 'status', 'skus', unpack(SALE_NUMBERS))
  local status = values[1]
  if not status then
    sales[id] = false
    return nil
  end
  sales[id] = take_numbers(values, 2, SALE_NUMBERS,
    { id = id, status = status, was_status = status, skus_text = values[2] or '' })
  return sales[id]
end

-- Its SKUs: taken apart only where all of them are asked for, since a sale may have a thousand.
local function skus_of(sale)
  if not sale.skus then
    sale.skus = {}
    for sku in string.gmatch(sale.skus_text, '%S+') do sale.skus[#sale.skus + 1] = sku end
  end
  return sale.skus
end

-- Asks one of a SKU's lists or sets. Where another type of key was put in its place, the answer is nothing, and the SKU sells
-- no more; the other SKUs of the call are served all the same.
local function read_of_sku(s, command, what, ...)
  local answer = redis.pcall(command, sku_key(what, s.sale_id, s.sku), ...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  s.fault, s.blocked = tostring(answer.err), 'FAULT'
  return {}
end
--- @include hold-runs

-- A SKU's place in the book, with room for what will be decided on it. All it will ever have is named here: a table that grows
-- name by name is made anew five times, and a call may meet hundreds of SKUs.
local function new_sku(sale_id, sku, currency, blocked)
  return {
    sale_id = sale_id, sku = sku, member = agenda_member(sale_id, sku), number = false, currency = currency,
    blocked = blocked, was_blocked = blocked ~= '', fault = false, is_new = false, is_changed = false,
    loaded = 0, available = 0, held = 0, sold = 0, waiting = 0, lastTicket = 0, version = 0, unitPrice = 0, everywhere = 0,
    holders = 0, waiters = 0, head = 0, as_read = {}, read_from = 0, tickets_before = 0,
    look_at = false, first_hold = false, last_run = false, is_swept = false, is_behind = false, runs_taken = false,
    rest_of_run = false, has_crowd = false, last_lot = false, counters = false,
    big_add = {}, big_rem = {}, runs_add = {}, ends_add = {}, ends_rem = {}, tickets_add = {}, orders_add = {}, lots = {},
    lots_add = {},
  }
end

local function enter_sku(s)
  skus[s.member], sku_order[#sku_order + 1] = s, s
  s.tickets_before = s.lastTicket
  return s
end

-- The counts of a SKU in a sale, or nil.
local function open_sku(sale_id, sku)
  local member = agenda_member(sale_id, sku)
  if skus[member] ~= nil then return skus[member] or nil end
  local values = redis.call('HMGET', sku_key('stock', sale_id, sku), 'currency', 'blocked', 'number', unpack(STOCK_NUMBERS))
  if not values[1] then
    skus[member] = false
    return nil
  end
  local s = take_numbers(values, 3, STOCK_NUMBERS, new_sku(sale_id, sku, values[1], values[2] or ''))
  s.number = tonumber(values[3])
  if s.number then
    names_of_skus[s.number] = { sale_id, sku, s.unitPrice, s.currency }
  else
    s.fault, s.blocked = 'its number is gone', 'FAULT'
  end
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
