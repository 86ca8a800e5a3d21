-- What a buyer has in a sale, as the limit counts it: units that wait, are held or are sold, summed up from the purchases
-- themselves. Nothing is kept beside them, so nothing can differ from them.
--- @include strays
local function counts(sale, p, buyer)
  return p[BUYER] == buyer and p[SALE] == sale.id and p[ORDER_REF] == ''
    and (p[STATUS] == 'WAITING' or p[STATUS] == 'CONFIRMED' or IS_HELD[p[STATUS]])
end

local function id_at(field, rest) return string.byte(field) == 47 and string.sub(field, 2) or COMMON_HEAD .. field .. rest end

-- The purchase of a record as it is by now, and its id; nil where it cannot be read.
local function purchase_at(field, record)
  local p, rest = decode_purchase(record)
  if not p then return nil end
  local id = id_at(field, rest)
  return purchases[id] or p, id
end

-- Units of a buyer, and where one at the limit is sent: to the latest purchase that waits or is held, else to the latest that is
-- paid. Without units where something cannot be read: then nothing is known. `field`: the folder that the print names.
local function units_of(sale, buyer, field)
  local strays = strays_of(sale, buyer)
  if strays then field = strays.field end
  if not folders[field] and not strays then return 0 end
  local units, live, paid = 0, nil, nil
  local function add(id, p)
    if not counts(sale, p, buyer) then return end
    units = units + p[QUANTITY]
    if p[STATUS] == 'CONFIRMED' then paid = id else live = id end
  end
  for _, id in ipairs(strays and strays.ids or {}) do
    if purchases[id] then add(id, purchases[id]) end
  end
  local records = records_of(folders[field])
  if not records then return nil end
  for _, record in ipairs(records) do
    local p, id = purchase_at(field, record)
    if not p then return nil end
    add(id, p)
  end
  return units, live or paid
end

-- One that had ended counts again: it comes back to where it is counted.
local function bring_home(sale, id)
  if not own_fields[id] or sale.perBuyerLimit <= 0 then return end
  write_folder(own_fields[id], false)
  own_fields[id] = nil
end

-- Room in a folder that has something for one more; answers the field that the new purchase is to have. Where there is no limit
-- it gets its own: a folder would grow without end. Else those that have ended leave a full folder for fields of their own.
local function make_room(sale, field, id)
  local records, has_more = records_of(folders[field])
  if sale.perBuyerLimit <= 0 then
    if has_more == 0 then write_records(field, records, 1) end
    own_fields[id] = short_of(id)
    return own_fields[id]
  end
  if #records < FOLDER_MAX then return field end
  local kept = {}
  for _, record in ipairs(records) do
    local p, other = purchase_at(field, record)
    if p and p[SALE] == sale.id and not counts(sale, p, p[BUYER]) and has_print(other) then
      own_fields[other], has_more = short_of(other), 1
      write_folder(own_fields[other], record)
    else
      kept[#kept + 1] = record
    end
  end
  if #kept < #records then write_records(field, kept, has_more) end
  return field
end

-- A purchase that was not there, or is built again.
local function add_record(sale, field, id, record)
  local rest = rest_of(id)
  if folders[field] and not place_in(records_of(folders[field]) or {}, rest) then field = make_room(sale, field, id) end
  put_record(field, rest, record)
end
