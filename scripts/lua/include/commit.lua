-- Writes the book: the outbox entry, purchases, buyers, counts, lines, holds, agendas, then the feed message about them.
-- Nothing here decides. Should Redis refuse what concerns one SKU (a key of another type was put there), that SKU alone is
-- blocked: one with half a step written must not sell on, and the others must not suffer for it.
--- @include fault
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

-- First the counts, which were read in this call and can be written; last the lists that only the audit reads.
local function write_sku(s)
  local line, big = sku_key('line', s.sale_id, s.sku), sku_key('big', s.sale_id, s.sku)
  local holds = sku_key('holds', s.sale_id, s.sku)
  s.version = s.version + 1
  write_numbers(sku_key('stock', s.sale_id, s.sku), STOCK_NUMBERS, s)
  if s.is_new then redis.call('HSET', sku_key('stock', s.sale_id, s.sku), 'currency', s.currency) end
  call_in_chunks('ZREM', line, s.line_rem)
  call_in_chunks('ZADD', line, s.line_add)
  call_in_chunks('ZREM', holds, s.holds_rem)
  call_in_chunks('ZADD', holds, s.holds_add)
  call_in_chunks('ZREM', big, s.big_rem)
  call_in_chunks('ZADD', big, s.big_add)
  call_in_chunks('RPUSH', sku_key('tickets', s.sale_id, s.sku), s.tickets_add)
  call_in_chunks('RPUSH', sku_key('orders', s.sale_id, s.sku), s.orders_add)
end

-- When the sweep is to look at the SKU again.
local function write_agenda(s)
  if s.look_at then redis.call('ZADD', ADMISSIONS, s.look_at, s.member) end
  if #s.holds_add == 0 and not s.is_swept then return end
  local first = redis.call('ZRANGE', sku_key('holds', s.sale_id, s.sku), 0, 0, 'WITHSCORES')
  if first[2] then
    redis.call('ZADD', DEADLINES, first[2], s.member)
  else
    redis.call('ZREM', DEADLINES, s.member)
  end
end

-- A SKU's counts as everybody is told them. A blocked one is not for sale, whatever its sale says.
local function counters_of(s)
  local head = read_sorted(s, 'ZRANGE', sku_key('line', s.sale_id, s.sku), 0, 0, 'WITHSCORES')
  local status = sales[s.sale_id].status
  if s.blocked ~= '' and status == 'OPEN' then status = 'PAUSED' end
  return { s.sale_id, s.sku, status, s.version, s.loaded, s.available, s.held, s.sold, s.waiting,
    tonumber(head[2] or s.lastTicket + 1), s.lastTicket }
end

local function write_sale(sale)
  local set, del = buyers_changes(sale)
  call_in_chunks('HSET', buyers_key(sale.id), set)
  call_in_chunks('HDEL', buyers_key(sale.id), del)
  if not sale.is_changed then return end
  write_numbers(sale_key(sale.id), SALE_NUMBERS, sale)
  redis.call('HSET', sale_key(sale.id), 'status', sale.status, 'skus', table.concat(sale.skus, ' '))
end

-- The outbox comes first: if Redis refuses it, nothing has happened. What it tells is what a rebuild builds from.
local function write_outbox()
  for _, id in ipairs(touched) do
    records[#records + 1] = { 'p', take_seq(), id, movements[id], purchases[id] }
  end
  if #records == 0 then return nil end
  local blob = cmsgpack.pack(records)
  redis.call('XADD', OUTBOX, string.format('%.0f-%d', SEQ, #records), 'b', blob)
  redis.call('HSET', FENCE, 'seq', string.format('%.0f', SEQ))
  return blob
end

local function write_book()
  write_purchases()
  for _, sale in pairs(sales) do
    if sale then write_sale(sale) end
  end
  for _, command in ipairs(further) do redis.call(unpack(command)) end
  for id, at in pairs(plans) do
    if at then redis.call('ZADD', SCHEDULE, string.format('%.0f', at), id) else redis.call('ZREM', SCHEDULE, id) end
  end
end

local function write_skus()
  local counters = {}
  for _, s in ipairs(sku_order) do
    local is_ok, reason = pcall(function()
      if s.is_changed then write_sku(s) end
      write_agenda(s)
    end)
    if s.is_changed and s.blocked == '' and not adds_up(s) then s.fault = s.fault or 'its counts do not add up' end
    if not is_ok then s.fault = type(reason) == 'table' and tostring(reason.err) or tostring(reason) end
    if s.fault then block(s, s.fault) end
    if s.is_changed then counters[#counters + 1] = counters_of(s) end
  end
  return counters
end

local function commit()
  local blob = write_outbox()
  local is_ok, reason = pcall(write_book)
  local counters = write_skus()
  if blob then redis.call('PUBLISH', FEED, cmsgpack.pack({ 'c', SEQ, counters }) .. blob) end
  if is_ok then return end
  for _, s in ipairs(sku_order) do block(s, 'its sale could not be written') end
  error(reason)
end
