-- What a call of reserve asks Redis for before it decides: the folders of all who ask, and their purchases where there are any.

-- The values whose items can be read.
local function sound_ones(values, sound)
  local ones = {}
  for i, value in ipairs(values) do
    if sound[i] then ones[#ones + 1] = value end
  end
  return ones
end

-- What all batches ask for is read at once: who is new is read no further than that. Answers by batch and place which items can
-- be read, and their folders.
local function read_ahead(batches)
  local sound, fields, wanted, ids_known = {}, {}, {}, {}
  for b, batch in ipairs(batches) do
    local ids = batch[3]
    sound[b], fields[b] = are_sound(ids, batch[4], batch[5], batch[6]), {}
    for i, id in ipairs(ids) do
      local field = sound[b][i] and field_of(id)
      fields[b][i] = field
      if field then wanted[#wanted + 1] = field end
    end
  end
  read_folders(wanted)
  for b, batch in ipairs(batches) do
    for i, field in ipairs(fields[b]) do
      if field and folders[field] then ids_known[#ids_known + 1] = batch[3][i] end
    end
    local found = open_sale(batch[1])
    if found and found.strays > 0 then read_strays(found, sound_ones(batch[4], sound[b])) end
  end
  read_into_book(ids_known)
  return sound, fields
end
