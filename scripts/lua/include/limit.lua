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

-- What counts of a record for a buyer, and whether it is paid; nil where it cannot be read. No purchase is made of it: a buyer may
-- have a hundred of them. Only what has changed in this call is another by now than its bytes say.
local function weigh(sale, buyer, field, record)
  if #touched > 0 then
    local p = purchase_at(field, record)
    if not p then return nil end
    return counts(sale, p, buyer) and p[QUANTITY] or 0, p[STATUS] == 'CONFIRMED'
  end
  local is_ok, _, owner, _, number, version, status, quantity, _, _, _, _, order = pcall(cmsgpack.unpack, record)
  local name = is_ok and is_number(number) and name_of_sku(number)
  if not name then return nil end
  if status == nil then
    local lot = lots_of(number)[version or 0] or decode_purchase(record)
    if not lot then return nil end
    status, quantity, order = STATUS_CODES[lot[STATUS]], lot[QUANTITY], lot[ORDER_REF]
  end
  if not is_number(quantity) or not STATUS_OF[status] then return nil end
  local is_counted = status <= STATUS_CODES.CONFIRMED and owner == buyer and name[1] == sale.id and order == ''
  return is_counted and quantity or 0, status == STATUS_CODES.CONFIRMED
end

local idle_in = {} -- by field: how many of its records count for nothing, as they were last summed up

-- Units of a buyer, and where one at the limit is sent (live_of): to the latest purchase that waits or is held, else to the latest
-- that is paid. Nothing where something cannot be read: then nothing is known. `field`: the folder that the print names.
local function units_of(sale, buyer, field)
  local strays = strays_of(sale, buyer)
  if strays then field = strays.field end
  if not folders[field] and not strays then return 0 end
  local units, live, paid, records = 0, nil, nil, records_of(folders[field])
  if not records then return nil end
  for _, id in ipairs(strays and strays.ids or {}) do
    local p = purchases[id]
    if p and counts(sale, p, buyer) then
      units = units + p[QUANTITY]
      if p[STATUS] == 'CONFIRMED' then paid = id else live = id end
    end
  end
  local last, last_paid
  idle_in[field] = 0
  for _, record in ipairs(records) do
    local weight, is_paid = weigh(sale, buyer, field, record)
    if not weight then return nil end
    units = units + weight
    if weight == 0 then idle_in[field] = idle_in[field] + 1 end
    if weight > 0 and is_paid then last_paid = record end
    if weight > 0 and not is_paid then last = record end
  end
  local of_folder = last or not live and last_paid
  return units, of_folder or live or paid, of_folder and field
end

-- The id of what `units_of` found: it is one, or a record of the folder.
local function live_of(found, field)
  if not found or not field then return found end
  local _, rest = decode_purchase(found)
  return id_at(field, rest)
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
  if #records < FOLDER_MAX or idle_in[field] == 0 then return field end
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

-- A purchase that was not there.
local function add_record(sale, field, id, record)
  if folders[field] then field = make_room(sale, field, id) end
  put_record(field, rest_of(id), record, true)
end
