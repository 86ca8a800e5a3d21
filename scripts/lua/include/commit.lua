-- Writes the book: purchases, buyers, lines, holds, counts, agendas, then the outbox entry and the feed message that
-- tell of them. Nothing here decides. Should Redis still refuse a write, the SKUs of the call are blocked: a SKU with
-- half a step written must not sell on.
local function write_numbers(key, names, from)
  local values = {}
  for _, name in ipairs(names) do
    values[#values + 1], values[#values + 2] = name, string.format('%.17g', from[name])
  end
  redis.call('HSET', key, unpack(values))
end

local function write_purchases()
  local values = {}
  for _, id in ipairs(touched) do
    values[#values + 1], values[#values + 2] = purchase_key(id), cmsgpack.pack(purchases[id])
  end
  call_in_chunks('MSET', nil, values)
end

local function write_sku(s)
  local line, big = sku_key('line', s.sale_id, s.sku), sku_key('big', s.sale_id, s.sku)
  local holds = sku_key('holds', s.sale_id, s.sku)
  call_in_chunks('ZREM', line, s.line_rem)
  call_in_chunks('ZREM', big, s.big_rem)
  call_in_chunks('ZREM', holds, s.holds_rem)
  call_in_chunks('ZADD', line, s.line_add)
  call_in_chunks('ZADD', big, s.big_add)
  call_in_chunks('ZADD', holds, s.holds_add)
  call_in_chunks('RPUSH', sku_key('tickets', s.sale_id, s.sku), s.tickets_add)
  call_in_chunks('RPUSH', sku_key('orders', s.sale_id, s.sku), s.orders_add)
  s.version = s.version + 1
  write_numbers(sku_key('stock', s.sale_id, s.sku), STOCK_NUMBERS, s)
  if s.look_at then redis.call('ZADD', ADMISSIONS, s.look_at, s.member) end
  if #s.holds_add > 0 or s.is_swept then
    local first = redis.call('ZRANGE', holds, 0, 0, 'WITHSCORES')
    if first[2] then
      redis.call('ZADD', DEADLINES, first[2], s.member)
    else
      redis.call('ZREM', DEADLINES, s.member)
    end
  end
end

-- A SKU's counts as everybody is told them.
local function counters_of(s)
  local head = redis.call('ZRANGE', sku_key('line', s.sale_id, s.sku), 0, 0, 'WITHSCORES')
  return { s.sale_id, s.sku, sales[s.sale_id].status, s.version, s.loaded, s.available, s.held, s.sold, s.waiting,
    tonumber(head[2] or s.lastTicket + 1), s.lastTicket }
end

local function write_sale(sale)
  local set, del = buyers_changes(sale)
  call_in_chunks('HSET', buyers_key(sale.id), set)
  call_in_chunks('HDEL', buyers_key(sale.id), del)
  if sale.is_changed then
    write_numbers(sale_key(sale.id), SALE_NUMBERS, sale)
    redis.call('HSET', sale_key(sale.id), 'status', sale.status)
  end
end

local function write_book()
  write_purchases()
  for _, sale in pairs(sales) do
    if sale then write_sale(sale) end
  end
  local counters = {}
  for _, s in pairs(skus) do
    if s and (s.is_changed or s.look_at or s.is_swept) then
      write_sku(s)
    end
    local sale = s and sales[s.sale_id]
    if s and (s.is_changed or (sale and sale.is_moved)) then counters[#counters + 1] = counters_of(s) end
  end
  for _, id in ipairs(touched) do
    records[#records + 1] = { 'p', take_seq(), id, movements[id], purchases[id] }
  end
  if #records > 0 then
    redis.call('HSET', FENCE, 'seq', string.format('%.0f', SEQ))
    local blob = cmsgpack.pack(records)
    redis.call('XADD', OUTBOX, string.format('%.0f-%d', SEQ, #records), 'b', blob)
    redis.call('PUBLISH', FEED, cmsgpack.pack({ 'c', SEQ, counters }) .. blob)
  end
  return counters
end

local function commit()
  local is_ok, result = pcall(write_book)
  if is_ok then return result end
  for _, s in pairs(skus) do
    if s then redis.pcall('HSET', sku_key('stock', s.sale_id, s.sku), 'blocked', 'FAULT') end
  end
  error(result)
end
