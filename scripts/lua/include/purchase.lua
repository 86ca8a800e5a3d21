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

-- Many purchases in one call. Returns two tables by id: the decoded ones, and those whose bytes cannot be read.
local function read_purchases(ids)
  local found, corrupt = {}, {}
  for from = 1, #ids, 1024 do
    local names = {}
    for i = from, math.min(from + 1023, #ids) do names[#names + 1] = field_of(ids[i]) end
    local raws = redis.call('HMGET', PURCHASES, unpack(names))
    for i = 1, #names do
      local raw = raws[i]
      if raw then
        local id = ids[from + i - 1]
        found[id] = decode_purchase(raw)
        corrupt[id] = not found[id] or nil
      end
    end
  end
  return found, corrupt
end
