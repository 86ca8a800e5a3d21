-- Purchases that leave their folders: at the purge of a sale, and what nobody can read before a rebuild.
-- Before a rebuild writes there: bytes that nobody can read keep nothing from being read.
local function drop_unreadable(field)
  local records, has_more = records_of(folders[field])
  local sound = {}
  for _, record in ipairs(records or {}) do
    if decode_purchase(record) then sound[#sound + 1] = record end
  end
  if not records or #sound < #records then write_records(field, sound, #sound > 0 and has_more or 0) end
end

-- Purchases that are forgotten, whatever their bytes are.
local function remove_records(ids)
  local fields = {}
  for i, id in ipairs(ids) do fields[i] = field_of(id) end
  read_folders(fields)
  for i, id in ipairs(ids) do
    local records, has_more = records_of(folders[fields[i]])
    local place = records and place_in(records, rest_of(id))
    if place then table.remove(records, place) end
    write_folder(short_of(id), false)
    if not records or #records == 0 then
      write_folder(fields[i], false)
    elseif place then
      write_records(fields[i], records, has_more)
    end
  end
end
