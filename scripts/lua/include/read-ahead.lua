-- What a call of reserve asks Redis for before it decides: the folders of all who ask, and their purchases where there are any.

-- What all batches ask for is read at once: who is new is read no further than that. Answers by batch and place which items can
-- be read, and their folders.
local function read_ahead(batches)
  local sound, fields, wanted, ids_known, n = {}, {}, {}, {}, 0
  for b, batch in ipairs(batches) do
    local ids = batch[3]
    local are_read, of_batch = are_sound(ids, batch[4], batch[5], batch[6]), {}
    sound[b], fields[b] = are_read, of_batch
    for i = 1, #ids do
      local field = are_read[i] and field_of(ids[i])
      of_batch[i] = field
      if field then
        n = n + 1
        wanted[n] = field
      end
    end
  end
  read_folders(wanted)
  for b, batch in ipairs(batches) do
    for i, field in ipairs(fields[b]) do
      if field and folders[field] then ids_known[#ids_known + 1] = batch[3][i] end
    end
    local found = open_sale(batch[1])
    if found and found.strays > 0 then
      local buyers = {}
      for i, buyer in ipairs(batch[4]) do buyers[#buyers + 1] = sound[b][i] and buyer or nil end
      read_strays(found, buyers)
    end
  end
  read_into_book(ids_known)
  return sound, fields
end
