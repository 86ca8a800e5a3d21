#!lua flags=no-writes
-- audit-slice: what the continuous audit needs of at most 256 purchases of a SKU: by ticket, then the holds of orders. Beside
-- each stand its places in the sorted sets, read in the same moment, and beside all of them the SKU's counts.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, ticket, last ticket, order, last order }    places in the two lists; a last of -1 is the list's own
-- BODY   { counters, reason of the block or '', { members of holds, line, tickets, orders },
--          { { purchaseId, version, status, quantity, ticket, place in holds or 0, place in line or 0 } or { purchaseId } … },
--          how many of these are from the list of tickets } or false where the SKU is unknown
--- @include call
--- @include book
--- @include buyers
--- @include commit
local SALE_ID, SKU_NAME, SLICE = INPUT[1], INPUT[2], 256
local sale = open_sale(SALE_ID)
local s = sale and open_sku(SALE_ID, SKU_NAME)
if not s then return reply('OK', false) end

-- What somebody put there instead of a list or a set is empty: the audit finds it so.
local function ask(...)
  local answer = redis.pcall(...)
  return not (type(answer) == 'table' and answer.err) and answer or nil
end

local tickets, orders = sku_key('tickets', SALE_ID, SKU_NAME), sku_key('orders', SALE_ID, SKU_NAME)
local holds, line = sku_key('holds', SALE_ID, SKU_NAME), sku_key('line', SALE_ID, SKU_NAME)
local sizes = { ask('ZCARD', holds) or 0, ask('ZCARD', line) or 0, ask('LLEN', tickets) or 0, ask('LLEN', orders) or 0 }
local ids = {}

local function read_list(key, from, last, size)
  if last < 0 then last = size end
  local to = math.min(last, from + SLICE - #ids - 1)
  if to < from then return end
  for _, id in ipairs(ask('LRANGE', key, from - 1, to - 1) or {}) do ids[#ids + 1] = id end
end

read_list(tickets, INPUT[3], INPUT[4], sizes[3])
local of_tickets = #ids
read_list(orders, INPUT[5], INPUT[6], sizes[4])
read_into_book(ids)

local function scores_of(key)
  if #ids == 0 then return {} end
  return ask('ZMSCORE', key, unpack(ids, 1, #ids)) or {}
end

local in_holds, in_line, rows = scores_of(holds), scores_of(line), {}
for i, id in ipairs(ids) do
  local p = purchases[id]
  if p then
    rows[i] = { id, p[VERSION], p[STATUS], p[QUANTITY], p[TICKET], tonumber(in_holds[i] or 0), tonumber(in_line[i] or 0) }
  else
    rows[i] = { id }
  end
end
return reply('OK', { counters_of(s), s.blocked, sizes, rows, of_tickets })
