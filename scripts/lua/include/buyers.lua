-- What a buyer has in a sale: units waiting, held and sold, and the purchases they belong to. `buyers:<sale>` is a hash
-- of '<units> <id> <id> …'; an ended purchase leaves it in the script that ends it.
local function parse_buyer(text)
  local entry = { units = 0, ids = {} }
  if text then
    for word in string.gmatch(text, '%S+') do
      if entry.units == 0 and #entry.ids == 0 and tonumber(word) then
        entry.units = tonumber(word)
      else
        entry.ids[#entry.ids + 1] = word
      end
    end
  end
  return entry
end

local function read_buyers(sale, names)
  local wanted = {}
  for _, name in ipairs(names) do
    if name ~= '' and not sale.buyers[name] then wanted[#wanted + 1] = name end
  end
  for from = 1, #wanted, 512 do
    local chunk = { unpack(wanted, from, math.min(from + 511, #wanted)) }
    local texts = redis.call('HMGET', buyers_key(sale.id), unpack(chunk))
    for i, name in ipairs(chunk) do sale.buyers[name] = parse_buyer(texts[i]) end
  end
end

local function buyer_of(sale, name)
  if not sale.buyers[name] then read_buyers(sale, { name }) end
  return sale.buyers[name]
end

-- Where a buyer at the limit is sent: to the latest purchase that waits or is held, else to the latest that is paid.
local function live_of(entry)
  read_into_book(entry.ids)
  for i = #entry.ids, 1, -1 do
    local p = purchases[entry.ids[i]]
    if p and p[STATUS] ~= 'CONFIRMED' then return entry.ids[i] end
  end
  return entry.ids[#entry.ids]
end

-- A purchase with an order reference belongs to a checkout and counts for no buyer here; and where there is no limit
-- nobody is counted: one buyer's entry would grow without end.
local function counts_for_nobody(sale, p) return p[ORDER_REF] ~= '' or sale.perBuyerLimit <= 0 end

local function count_buyer(sale, p, id)
  if counts_for_nobody(sale, p) then return end
  local entry = buyer_of(sale, p[BUYER])
  entry.units, entry.ids[#entry.ids + 1] = entry.units + p[QUANTITY], id
  sale.buyers_changed[p[BUYER]] = true
end

local function uncount_buyer(sale, p, id)
  if counts_for_nobody(sale, p) then return end
  local entry = buyer_of(sale, p[BUYER])
  for i, other in ipairs(entry.ids) do
    if other == id then
      table.remove(entry.ids, i)
      entry.units = math.max(0, entry.units - p[QUANTITY])
      sale.buyers_changed[p[BUYER]] = true
      return
    end
  end
end

local function buyers_changes(sale)
  local set, del = {}, {}
  for name in pairs(sale.buyers_changed) do
    local entry = sale.buyers[name]
    if #entry.ids == 0 then
      del[#del + 1] = name
    else
      set[#set + 1] = name
      set[#set + 1] = entry.units .. ' ' .. table.concat(entry.ids, ' ')
    end
  end
  return set, del
end
