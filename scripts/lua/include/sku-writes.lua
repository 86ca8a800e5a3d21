-- What is written about one SKU: its counts, its line, its holds, its lists, and when the sweep is to look at it.
-- `values` first, then the numbers that have changed since they were read.
local function write_numbers(key, names, from, values)
  for _, name in ipairs(names) do
    if from[name] ~= from.as_read[name] then
      values[#values + 1], values[#values + 2] = name, string.format('%.17g', from[name])
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

-- First the counts, which were read in this call and can be written; last the lists that only the audit reads.
local function write_sku(s)
  s.version = s.version + 1
  write_numbers(sku_key('stock', s.sale_id, s.sku), STOCK_NUMBERS, s, s.is_new and give_number(s) or {})
  call_for_sku('ZREM', 'line', s, s.line_rem)
  call_for_sku('ZADD', 'line', s, s.line_add)
  call_for_sku('ZREM', 'holds', s, s.holds_rem)
  call_for_sku('ZADD', 'holds', s, s.holds_add)
  call_for_sku('ZREM', 'big', s, s.big_rem)
  call_for_sku('ZADD', 'big', s, s.big_add)
  call_for_sku('RPUSH', 'tickets', s, s.tickets_add)
  call_for_sku('RPUSH', 'orders', s, s.orders_add)
end

-- When the sweep is to look at the SKU again.
local function write_agenda(s)
  if s.look_at then redis.call('ZADD', ADMISSIONS, s.look_at, s.member) end
  if #s.holds_add == 0 and not s.is_swept then return end
  local before = s.first_hold
  s.first_hold = nil
  -- Holds that come later than one that stays change nothing.
  if before and before > 0 and before <= NOW + sales[s.sale_id].holdMs and #s.holds_rem == 0 and not s.is_swept then
    s.first_hold = before
    return
  end
  local first = first_hold(s)
  if first > 0 then
    redis.call('ZADD', DEADLINES, string.format('%.0f', first), s.member)
  else
    redis.call('ZREM', DEADLINES, s.member)
  end
end
