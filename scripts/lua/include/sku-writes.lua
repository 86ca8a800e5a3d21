-- What is written about one SKU: its counts, its lists and sets, and when the sweep is to look at it.
-- `values` first, then the numbers that have changed since they were read.
local function write_numbers(key, names, from, values)
  local as_read, offset = from.as_read, from.read_from
  for i = 1, #names do
    local number = from[names[i]]
    if number ~= as_read[offset + i] then
      values[#values + 1], values[#values + 2] = names[i], string.format(number % 1 == 0 and '%d' or '%.17g', number)
    end
  end
  if #values > 0 then redis.call('HSET', key, unpack(values)) end
end

-- A new SKU gets the number under which its purchases name it. One that is built again keeps its own.
local function give_number(s)
  s.number = s.number or redis.call('HINCRBY', SKUS, 'last', 1)
  local name = string.format('%s %s %.0f %s', s.sale_id, s.sku, s.unitPrice, s.currency)
  redis.call('HSET', SKUS, s.number, name)
  return { 'currency', s.currency, 'number', s.number }
end

local function call_for_sku(command, what, s, values)
  if #values > 0 then call_in_chunks(command, sku_key(what, s.sale_id, s.sku), values) end
end

-- First the counts, which were read in this call and can be written.
local function write_sku(s)
  s.version = s.version + 1
  write_numbers(sku_key('stock', s.sale_id, s.sku), STOCK_NUMBERS, s, s.is_new and give_number(s) or {})
  call_for_sku('ZREM', 'big', s, s.big_rem)
  call_for_sku('ZADD', 'big', s, s.big_add)
  call_for_sku('RPUSH', 'tickets', s, s.tickets_add)
  call_for_sku('RPUSH', 'orders', s, s.orders_add)
end

-- Holds that have come and those whose time has come. What is gone leaves first: what comes is behind it.
local function write_holds(s)
  local key = sku_key('holds', s.sale_id, s.sku)
  if s.runs_taken then redis.call('LTRIM', key, s.runs_taken, -1) end
  if s.rest_of_run then redis.call('LSET', key, 0, s.rest_of_run) end
  if #s.runs_add > 0 then
    local texts = {}
    for i, run in ipairs(s.runs_add) do texts[i] = text_of_run(run) end
    call_in_chunks('RPUSH', key, texts)
  end
  call_for_sku('ZREM', 'ends', s, s.ends_rem)
  call_for_sku('ZADD', 'ends', s, s.ends_add)
end

-- When the sweep is to look at the SKU again.
local function write_agenda(s)
  if s.look_at then redis.call('ZADD', ADMISSIONS, s.look_at, s.member) end
  if #s.runs_add + #s.ends_add == 0 and not s.is_swept then return end
  -- Holds that come later than one that stays change nothing.
  local before = s.first_hold
  if before and before > 0 and before <= NOW + sales[s.sale_id].holdMs and not s.is_swept then return end
  s.first_hold = nil
  local first = first_hold(s)
  if first > 0 then
    redis.call('ZADD', DEADLINES, string.format('%d', first), s.member)
  else
    redis.call('ZREM', DEADLINES, s.member)
  end
end
