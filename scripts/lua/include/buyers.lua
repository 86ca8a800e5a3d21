-- What a buyer has in a sale: units waiting, held and sold, and the purchases they belong to. `buyers:<sale>` is a hash
-- of '<units> <number of the SKU>/<ticket> …'; an ended purchase leaves it in the script that ends it. The texts are kept as
-- they are: a table for each buyer of a batch would cost more than all the rest about them.
local function read_buyers(sale, names)
  local wanted = {}
  for _, name in ipairs(names) do
    if name ~= '' and not sale.buyers[name] then wanted[#wanted + 1] = name end
  end
  for from = 1, #wanted, 1024 do
    local to = math.min(from + 1023, #wanted)
    local texts = redis.call('HMGET', buyers_key(sale.id), unpack(wanted, from, to))
    for i = from, to do sale.buyers[wanted[i]] = texts[i - from + 1] or '' end
  end
end

-- The text of a buyer, '' for one who has nothing.
local function buyer_of(sale, name)
  if not sale.buyers[name] then read_buyers(sale, { name }) end
  return sale.buyers[name] or ''
end

local function units_of(text) return text == '' and 0 or tonumber(string.match(text, '^%d+')) or 0 end

local function id_of(word)
  local number, ticket = string.match(word, '^(%d+)/(%d+)$')
  local name = number and name_of_sku(tonumber(number))
  local s = name and skus[agenda_member(name[1], name[2])]
  local early = s and s.tickets_add[tonumber(ticket) - s.tickets_before] -- given out by this very call
  return early or name and redis.call('LINDEX', sku_key('tickets', name[1], name[2]), ticket - 1) or nil
end

-- Where a buyer at the limit is sent: to the latest purchase that waits or is held, else to the latest that is paid.
local function live_of(text)
  local ids = {}
  for word in string.gmatch(text, ' (%S+)') do ids[#ids + 1] = id_of(word) end
  read_into_book(ids)
  for i = #ids, 1, -1 do
    local p = purchases[ids[i]]
    if p and p[STATUS] ~= 'CONFIRMED' then return ids[i] end
  end
  return ids[#ids]
end

-- A purchase with an order reference belongs to a checkout and counts for no buyer here; and where there is no limit
-- nobody is counted: one buyer's entry would grow without end.
local function counts_for_nobody(sale, p) return p[ORDER_REF] ~= '' or sale.perBuyerLimit <= 0 end

local function add_to_buyer(sale, s, name, quantity, ticket)
  local text = buyer_of(sale, name)
  sale.buyers_changed[name] = true
  if text == '' then
    s.word_of[quantity] = s.word_of[quantity] or quantity .. ' ' .. s.number .. '/'
    sale.buyers[name] = s.word_of[quantity] .. ticket
  else
    sale.buyers[name] = units_of(text) + quantity .. string.match(text, '^%d*(.*)$') .. ' ' .. s.number .. '/' .. ticket
  end
end

local function count_buyer(sale, p)
  if not counts_for_nobody(sale, p) then add_to_buyer(sale, sku_of(p), p[BUYER], p[QUANTITY], p[TICKET]) end
end

local function uncount_buyer(sale, p)
  if counts_for_nobody(sale, p) then return end
  local name = p[BUYER]
  local text = buyer_of(sale, name)
  local first, last = string.find(text .. ' ', ' ' .. sku_of(p).number .. '/' .. p[TICKET] .. ' ', 1, true)
  if not first then return end
  local rest = string.sub(text, 1, first - 1) .. string.sub(text, last)
  local others = string.match(rest, '^%d*(.*)$')
  sale.buyers[name] = others == '' and '' or math.max(0, units_of(text) - p[QUANTITY]) .. others
  sale.buyers_changed[name] = true
end

local function buyers_changes(sale)
  local set, del = {}, {}
  for name in pairs(sale.buyers_changed) do
    local text = sale.buyers[name]
    if text == '' then
      del[#del + 1] = name
    else
      set[#set + 1], set[#set + 2] = name, text
    end
  end
  return set, del
end
