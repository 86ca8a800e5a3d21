-- Writes the book: the outbox entry, purchases, counts, lines, holds, agendas, then the feed message about them.
-- Nothing here decides. Should Redis refuse what concerns one SKU (a key of another type was put there), that SKU alone is
-- blocked: one with half a step written must not sell on, and the others must not suffer for it.
--- @include outbox
--- @include fault
--- @include sku-writes
-- A SKU's counts as everybody is told them. A blocked one is not for sale, whatever its sale says.
local function counters_of(s)
  local head = s.waiters > 0 and s.head or s.lastTicket + 1
  local status = sales[s.sale_id].status
  if s.blocked ~= '' and status == 'OPEN' then status = 'PAUSED' end
  return { s.sale_id, s.sku, status, s.version, s.loaded, s.available, s.held, s.sold, s.waiting, head, s.lastTicket,
    s.everywhere > 0 and s.everywhere or nil }
end

local function write_sale(sale)
  if not sale.is_changed then return end
  local texts = {}
  if sale.status ~= sale.was_status then texts = { 'status', sale.status, 'skus', table.concat(skus_of(sale), ' ') } end
  write_numbers(sale_key(sale.id), SALE_NUMBERS, sale, texts)
end

-- Each sale for itself: the SKUs of one that cannot be written are blocked, and the caller is told in the end.
local function write_sales()
  local refused
  for _, sale in pairs(sales) do
    local is_ok, reason = true, nil
    if sale then is_ok, reason = pcall(write_sale, sale) end
    if not is_ok then
      refused, sale.is_lost = reason, true
    end
  end
  return refused
end

local function write_folders()
  local values, gone, n = {}, {}, 0
  for _, field in ipairs(changed_fields) do
    local bytes = folders[field]
    if bytes then
      values[n + 1], values[n + 2], n = field, bytes, n + 2
    else
      gone[#gone + 1] = field
    end
  end
  call_in_chunks('HSET', PURCHASES, replaced)
  call_in_chunks('HSET', PURCHASES, values)
  call_in_chunks('HDEL', PURCHASES, gone)
end

local function write_others()
  for _, s in ipairs(sku_order) do call_for_sku('HSET', 'lots', s, s.lots_add) end
  write_folders()
  for _, command in ipairs(further) do redis.call(unpack(command)) end
  for id, at in pairs(plans) do
    if at then redis.call('ZADD', SCHEDULE, string.format('%d', at), id) else redis.call('ZREM', SCHEDULE, id) end
  end
end

local function write_skus()
  local counters = {}
  for _, s in ipairs(sku_order) do
    local is_ok, reason = pcall(function()
      if s.is_changed then write_sku(s) end
      write_holds(s)
      write_agenda(s)
    end)
    if s.is_changed and s.blocked == '' and not adds_up(s) then s.fault = s.fault or 'its counts do not add up' end
    if not is_ok then s.fault = type(reason) == 'table' and tostring(reason.err) or tostring(reason) end
    if s.fault then block(s, s.fault) end
    if s.is_changed then
      s.counters = counters_of(s)
      counters[#counters + 1] = s.counters
    end
  end
  return counters
end

-- The outbox comes first: if Redis refuses it, nothing has happened. What it tells is what a rebuild builds from.
local function commit()
  local blob, count = pack_entry()
  if blob then
    redis.call('XADD', OUTBOX, string.format('%d-%d', SEQ, count), 'b', blob)
    redis.call('HSET', FENCE, 'seq', string.format('%d', SEQ))
  end
  local is_ok, reason = pcall(write_others)
  local refused = write_sales()
  local counters = write_skus()
  if blob then redis.call('PUBLISH', FEED, cmsgpack.pack({ 'c', SEQ, counters }) .. blob) end
  for _, s in ipairs(sku_order) do
    if not is_ok or sales[s.sale_id].is_lost then block(s, 'its sale could not be written') end
  end
  if not is_ok or refused then error(reason or refused) end
end
