#!lua flags=no-writes
-- audit-slice: what the continuous audit needs of at most 256 purchases of a SKU: by ticket, then the holds of orders. Beside
-- each stand its places in the line and among the holds, read in the same moment, and beside all of them the SKU's counts.
-- KEYS[1] fence  the fence key of the sale's partition
-- INPUT  { saleId, sku, ticket, last ticket, order, last order }    places in the two lists; a last of -1 is the list's own
-- BODY   { counters, reason of the block or '', { holders, waiters as they are counted, tickets, orders as they are listed },
--          { { purchaseId, version, status, quantity, ticket, expiresAt, when the sweep comes for it or 0, place in the line from
--          its head on or 0 } or { purchaseId } … }, how many of these are from the list of tickets } or false: an unknown SKU
--- @include call
--- @include book
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
local holds, ends = sku_key('holds', SALE_ID, SKU_NAME), sku_key('ends', SALE_ID, SKU_NAME)
local sizes = { s.holders, s.waiters, ask('LLEN', tickets) or 0, ask('LLEN', orders) or 0 }
local ids = {}

local function read_list(key, from, last, size)
  if last < 0 then last = size end
  local to = math.min(last, from + SLICE - #ids - 1)
  if to < from then return end
  for _, short in ipairs(ask('LRANGE', key, from - 1, to - 1) or {}) do
    ids[#ids + 1] = key == tickets and id_of_short(short) or short
  end
end

read_list(tickets, INPUT[3], INPUT[4], sizes[3])
local of_tickets = #ids
read_list(orders, INPUT[5], INPUT[6], sizes[4])
read_into_book(ids)

-- The runs of holds that cover tickets of this page: they stand by ticket as they stand by end.
local function runs_of_page()
  local low, high, runs = 0, ask('LLEN', holds) or 0, {}
  while low < high do
    local middle = math.floor((low + high) / 2)
    if run_of(ask('LINDEX', holds, middle)).last < INPUT[3] then low = middle + 1 else high = middle end
  end
  for _, text in ipairs(ask('LRANGE', holds, low, low + SLICE - 1) or {}) do runs[#runs + 1] = run_of(text) end
  return runs
end

local runs, at, rows = runs_of_page(), 1, {}
local singles = #ids > 0 and ask('ZMSCORE', ends, unpack(ids, 1, #ids)) or {}

-- The earlier of both: where the sweep meets it too soon it is told when to come again.
local function swept_at(i, ticket)
  while runs[at] and runs[at].last < ticket do at = at + 1 end
  local run, single = runs[at], tonumber(singles[i] or 0)
  if not run or ticket < run.first then return single end
  return single > 0 and math.min(single, run.ends) or run.ends
end

for i, id in ipairs(ids) do
  local p = purchases[id]
  if p then
    local place = INPUT[3] + i - 1
    local is_in_line = i <= of_tickets and s.waiters > 0 and place >= s.head
    rows[i] = { id, p[VERSION], p[STATUS], p[QUANTITY], p[TICKET], p[EXPIRES_AT], swept_at(i, p[TICKET]), is_in_line and place or 0 }
  else
    rows[i] = { id }
  end
end
return reply('OK', { counters_of(s), s.blocked, sizes, rows, of_tickets })
