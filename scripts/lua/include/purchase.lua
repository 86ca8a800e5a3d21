-- A purchase in a script: an array whose positions are those of actors/records.ts. How it is stored: encoding.lua.
local VERSION, STATUS, BUYER, SALE, SKU, QUANTITY, TICKET, EXPIRES_AT = 1, 2, 3, 4, 5, 6, 7, 8
local UNIT_PRICE, CURRENCY, CREATED_AT, UPDATED_AT, REASON, ORDER_REF, FINGERPRINT = 9, 10, 11, 12, 13, 14, 15
local REFUND_DUE, HAD_HOLD = 16, 17
--- @include encoding

-- A purchase in one of these states has a hold.
local IS_HELD = { RESERVED = true, PAYMENT_PENDING = true, PAYMENT_FAILED = true }

-- As many calls of redis.call(command, key, …values) as need be, of at most 1,024 values each: `unpack` fails from 8,000.
local function call_in_chunks(command, key, values)
  for from = 1, #values, 1024 do redis.call(command, key, unpack(values, from, math.min(from + 1023, #values))) end
end
--- @include folders

-- Many purchases in one call. Returns two tables by id: the decoded ones, and those whose bytes cannot be read.
local function read_purchases(ids)
  local found, corrupt, fields, elsewhere, own = {}, {}, {}, {}, {}
  for i = 1, #ids do fields[i] = field_of(ids[i]) end
  read_folders(fields)
  local function take(id, field, raw)
    local p, rest = decode_purchase(raw)
    if not p then
      corrupt[id] = true
    elseif rest == rest_in(id, field) then
      found[id] = p
    end
  end
  for i = 1, #ids do
    local id, field = ids[i], fields[i]
    local raw = folders[field]
    if raw and not is_list(raw) then
      local p, rest = decode_purchase(raw)
      if not p then
        corrupt[id] = true
      elseif is_foreign[field] or rest == cut(id, 19) then
        found[id], alone_in[id] = p, field
      end
    elseif raw then
      local records, has_more = records_of(raw)
      local place = records and place_in(records, rest_in(id, field))
      if place then take(id, field, records[place]) end
      if not records then corrupt[id] = true end
      if records and not place and has_more == 1 then elsewhere[#elsewhere + 1], own[#own + 1] = id, short_of(id) end
    end
  end
  if #own > 0 then read_folders(own) end
  for i, id in ipairs(elsewhere) do
    local raw = folders[own[i]]
    if raw then
      own_fields[id] = own[i]
      take(id, field_of(id), raw)
    end
  end
  return found, corrupt
end
