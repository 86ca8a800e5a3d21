-- The folders of a call: what the hash `purchases` has, and is to have, by field. A folder is all that one buyer has in one
-- sale: one record (encoding.lua) as it is, or a msgpack list { has more 0/1, record … } of several. It is a few records long:
-- ended ones beyond that, and whatever counts for no limit, have fields of their own, under the short id; the folder then says
-- that there is more. Two buyers or sales with one print share a folder: who reads it compares them.
local FOLDER_MAX = 8
local folders = {} -- by field: bytes, or false where there are none
local changed_fields, is_changed_field = {}, {}
local alone_in = {} -- by id: the folder in which its record was found with no other
local replaced = {} -- { field, bytes … } of folders with one record, which are told at the end of the call
local own_fields = {} -- by id: the field of its own that its record has, where it has one

local function read_folders(fields)
  local wanted, n = {}, 0
  for _, field in ipairs(fields) do
    if folders[field] == nil then
      folders[field], n = false, n + 1
      wanted[n] = field
    end
  end
  for from = 1, n, 1024 do
    local to = math.min(from + 1023, n)
    local raws = redis.call('HMGET', PURCHASES, unpack(wanted, from, to))
    for i = from, to do folders[wanted[i]] = raws[i - from + 1] or false end
  end
end

local function is_list(raw)
  local first = string.byte(raw) or 0
  return first >= 144 and first <= 159 or first == 220
end

-- The records of a folder and whether there are more elsewhere; nil for what no script wrote. The list that was asked for last is
-- kept: a buyer who asks for many is met many times in a call. Whoever changes it writes the folder.
local parsed = {} -- bytes, records, has more
local function records_of(raw)
  if not raw then return {}, 0 end
  if not is_list(raw) then return { raw }, 0 end
  if raw == parsed[1] then return parsed[2], parsed[3] end
  local is_ok, list, extra = pcall(cmsgpack.unpack, raw)
  if not is_ok or extra ~= nil then return nil end
  local has_more = table.remove(list, 1)
  if has_more ~= 0 and has_more ~= 1 then return nil end
  for _, record in ipairs(list) do
    if type(record) ~= 'string' then return nil end
  end
  parsed = { raw, list, has_more }
  return list, has_more
end

local function write_folder(field, bytes)
  folders[field], parsed[1] = bytes, nil
  if is_changed_field[field] then return end
  is_changed_field[field], changed_fields[#changed_fields + 1] = true, field
end

local function write_records(field, records, has_more)
  if #records == 1 and has_more == 0 then return write_folder(field, records[1]) end
  if #records == 0 and has_more == 0 then return write_folder(field, false) end
  local list = { has_more }
  for i, record in ipairs(records) do list[i + 1] = record end
  local raw = cmsgpack.pack(list)
  write_folder(field, raw)
  parsed = { raw, records, has_more }
end

-- Where among the records the one with this rest of an id is.
local function place_in(records, rest)
  local head = text_head(#rest) .. rest
  for i, record in ipairs(records) do
    if string.sub(record, 1, #head) == head then return i end
  end
  return nil
end

-- How the record of a purchase begins: the rest of its id, packed.
local function head_of(id, field)
  if is_foreign[field] then return '\160' end
  return '\172' .. cut(id, 19) -- 12 letters
end

-- A record into the folder, in the place of an older one of the same purchase, if there can be one.
local function put_record(field, rest, record, is_new)
  if folders[field] == nil then read_folders({ field }) end
  if not folders[field] then return write_folder(field, record) end
  local records, has_more = records_of(folders[field])
  if not records then records, has_more = {}, 0 end
  records[not is_new and place_in(records, rest) or #records + 1] = record
  write_records(field, records, has_more)
end

-- The bytes of a purchase that was read in this call and is told now. Mostly it is alone in its folder, and nobody asks again.
local function replace_record(id, lead, tail)
  local field = alone_in[id]
  if field and not is_changed_field[field] then
    local n = #replaced
    replaced[n + 1], replaced[n + 2] = field, head_of(id, field) .. lead .. tail
  else
    field = field_of(id)
    put_record(own_fields[id] or field, rest_in(id, field), head_of(id, field) .. lead .. tail)
  end
end
