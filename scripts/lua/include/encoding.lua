-- A purchase as Redis keeps it, its record: a run of msgpack values, the rest of its id, its buyer and ticket first, then
-- the tail that purchases of one batch share. Its sale, SKU, price and currency stand once, under the SKU's number, in the
-- hash `skus`; the tail of a larger batch stands once too, in the SKU's hash `lots` under the first ticket it is of, and the
-- purchase then names it instead. TypeScript never reads these bytes: what it is told is the outbox and the replies.
local STATUS_CODES = { WAITING = 1, RESERVED = 2, PAYMENT_PENDING = 3, PAYMENT_FAILED = 4, CONFIRMED = 5, EXPIRED = 6,
  CANCELLED = 7, SOLD_OUT = 8, REFUNDED = 9 }
local STATUS_OF = { 'WAITING', 'RESERVED', 'PAYMENT_PENDING', 'PAYMENT_FAILED', 'CONFIRMED', 'EXPIRED', 'CANCELLED', 'SOLD_OUT',
  'REFUNDED' }
local names_of_skus = {} -- by number: { sale, sku, unit price, currency }, or false
local known_lots = {} -- by number, then by lot: a purchase of it, decoded

local function name_of_sku(number)
  if names_of_skus[number] == nil then
    local text = redis.pcall('HGET', SKUS, number)
    local sale, sku, price, currency = string.match(type(text) == 'string' and text or '', '^(%S+) (%S+) (%d+) (%S+)$')
    names_of_skus[number] = sale and { sale, sku, tonumber(price), currency } or false
  end
  return names_of_skus[number]
end

-- All but the rest of the id, buyer and ticket. Times are told from the creation on: short numbers in place of long ones.
local function tail_of(p, number)
  local created, ends = p[CREATED_AT], p[EXPIRES_AT]
  return cmsgpack.pack(number, p[VERSION], STATUS_CODES[p[STATUS]], p[QUANTITY], created, ends > 0 and ends - created,
    p[UPDATED_AT] - created, p[REASON], p[ORDER_REF], p[FINGERPRINT], p[REFUND_DUE] + 2 * p[HAD_HOLD])
end

-- How msgpack begins a text.
local function text_head(size)
  if size < 32 then return string.char(160 + size) end
  return string.char(217, size) -- ids have at most 100 characters
end

local function is_number(value) return type(value) == 'number' end
local function is_text(value) return type(value) == 'string' end

local function lots_of(number)
  local lots = known_lots[number]
  if not lots then
    lots = {}
    known_lots[number] = lots
  end
  return lots
end

local function of_lot(lot, buyer, ticket)
  return lot and { lot[1], lot[2], buyer, lot[4], lot[5], lot[6], ticket, lot[8], lot[9], lot[10], lot[11], lot[12], lot[13],
    lot[14], lot[15], lot[16], lot[17] } or nil
end

-- Reads what a script once wrote; anything else is nil, never an error. Answers the purchase and the rest of its id.
local function decode_purchase(raw)
  local is_ok, rest, buyer, ticket, number, version, status, quantity, created, ends, updated, reason, order, print, flags =
    pcall(cmsgpack.unpack, raw)
  local name = is_ok and is_number(number) and name_of_sku(number)
  if not is_text(rest) then return nil end
  if name and status == nil and is_number(version) and is_text(buyer) and is_number(ticket) then
    local lots = lots_of(number)
    if lots[version] == nil then
      lots[version] = false -- a tail that names a lot again is none
      local tail = redis.pcall('HGET', sku_key('lots', name[1], name[2]), version)
      lots[version] = is_text(tail) and decode_purchase(cmsgpack.pack(rest, buyer, ticket) .. tail) or false
    end
    return of_lot(lots[version], buyer, ticket), rest
  end
  if not name or not STATUS_OF[status] or not (is_text(buyer) and is_text(reason) and is_text(order) and is_text(print))
    or not (is_number(ticket) and is_number(version) and is_number(quantity) and is_number(created) and is_number(updated))
    or not (ends == false or is_number(ends)) or not (is_number(flags) and flags >= 0 and flags <= 3) then
    return nil
  end
  return { version, STATUS_OF[status], buyer, name[1], name[2], quantity, ticket, ends and created + ends or 0, name[3],
    name[4], created, created + updated, reason, order, print, flags % 2, math.floor(flags / 2) }, rest
end
