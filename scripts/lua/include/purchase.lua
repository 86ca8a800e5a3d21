-- A purchase as Redis holds it: a msgpack array. Its positions are those of actors/records.ts.
local VERSION, STATUS, BUYER, SALE, SKU, QUANTITY, TICKET, EXPIRES_AT = 1, 2, 3, 4, 5, 6, 7, 8
local UNIT_PRICE, CURRENCY, CREATED_AT, UPDATED_AT, REASON, ORDER_REF, FINGERPRINT = 9, 10, 11, 12, 13, 14, 15
local REFUND_DUE, HAD_HOLD = 16, 17
local PURCHASE_TYPES = { 'number', 'string', 'string', 'string', 'string', 'number', 'number', 'number', 'number',
  'string', 'number', 'number', 'string', 'string', 'string', 'number', 'number' }

-- A purchase in one of these states has a hold.
local IS_HELD = { RESERVED = true, PAYMENT_PENDING = true, PAYMENT_FAILED = true }

-- Reads msgpack that a script once wrote; anything else is nil, never an error.
local function decode_purchase(raw)
  if not raw then return nil end
  local is_ok, p = pcall(cmsgpack.unpack, raw)
  if not is_ok or type(p) ~= 'table' or #p ~= #PURCHASE_TYPES then return nil end
  for i, expected in ipairs(PURCHASE_TYPES) do
    if type(p[i]) ~= expected then return nil end
  end
  return p
end

-- Times n calls of redis.call(command, key, …pairs) with at most 512 arguments each: `unpack` fails from 8,000 values.
local function call_in_chunks(command, key, values)
  local first = key and { command, key } or { command }
  for from = 1, #values, 512 do
    local args = { unpack(first) }
    for i = from, math.min(from + 511, #values) do args[#args + 1] = values[i] end
    redis.call(unpack(args))
  end
end

-- Many purchases in one MGET. Returns two tables by id: the decoded ones, and those whose bytes cannot be read.
local function read_purchases(ids)
  local found, corrupt = {}, {}
  for from = 1, #ids, 512 do
    local names = {}
    for i = from, math.min(from + 511, #ids) do names[#names + 1] = purchase_key(ids[i]) end
    local raws = redis.call('MGET', unpack(names))
    for i = 1, #names do
      local id = ids[from + i - 1]
      found[id] = decode_purchase(raws[i])
      corrupt[id] = (raws[i] and not found[id]) or nil
    end
  end
  return found, corrupt
end
