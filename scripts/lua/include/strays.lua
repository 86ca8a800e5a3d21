-- Purchases whose ids do not begin with their buyer's print: those of before there was one. A rebuild notes them under the
-- buyer, so that they count for the limit, and that a retry of one finds it: what its id ends with is the same in both kinds.
-- `strays:<sale>`: '<print> <id> …' by buyer; the count `strays` of the sale says whether there are any.
local strays_by_sale = {}

local function read_strays(sale, buyers)
  local known = strays_by_sale[sale.id] or {}
  strays_by_sale[sale.id] = known
  if sale.strays == 0 then return end
  local wanted = {}
  for _, buyer in ipairs(buyers) do
    if known[buyer] == nil then
      known[buyer], wanted[#wanted + 1] = false, buyer
    end
  end
  if #wanted == 0 then return end
  local texts, ids, fields = redis.call('HMGET', strays_key(sale.id), unpack(wanted, 1, #wanted)), {}, {}
  for i, buyer in ipairs(wanted) do
    if texts[i] then
      local entry = { ids = {} }
      for word in string.gmatch(texts[i], '%S+') do
        if entry.field then entry.ids[#entry.ids + 1], ids[#ids + 1] = word, word else entry.field = word end
      end
      known[buyer], fields[#fields + 1] = entry, entry.field
    end
  end
  read_folders(fields)
  read_into_book(ids)
end

-- { field of the buyer's folder, ids }, or nil for a buyer who has none.
local function strays_of(sale, buyer)
  if sale.strays == 0 or buyer == '' then return nil end
  read_strays(sale, { buyer })
  return strays_by_sale[sale.id][buyer] or nil
end

-- The stray that a retry means.
local function stray_of(sale, buyer, id)
  local strays = strays_of(sale, buyer)
  for _, other in ipairs(strays and strays.ids or {}) do
    if string.sub(other, -12) == string.sub(id, -12) then return other end
  end
  return nil
end

-- Notes of a rebuild: { buyer, print, id } each.
local function note_strays(sale, notes)
  local names = {}
  for i, note in ipairs(notes) do names[i] = note[1] end
  read_strays(sale, names)
  local texts, changed = {}, {}
  for _, note in ipairs(notes) do
    local buyer, id = note[1], note[3]
    local entry = strays_by_sale[sale.id][buyer] or { field = note[2], ids = {} }
    strays_by_sale[sale.id][buyer] = entry
    local is_known = false
    for _, other in ipairs(entry.ids) do is_known = is_known or other == id end
    if not is_known then entry.ids[#entry.ids + 1] = id end
    texts[buyer] = entry.field .. ' ' .. table.concat(entry.ids, ' ')
  end
  for buyer, text in pairs(texts) do changed[#changed + 1], changed[#changed + 2] = buyer, text end
  call_in_chunks('HSET', strays_key(sale.id), changed)
  if #notes > 0 then sale.strays, sale.is_changed = 1, true end
end
