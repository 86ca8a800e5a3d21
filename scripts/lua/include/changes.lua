-- What a call decides about the purchases and sales in its book. Nothing is written here.
local last_of -- the SKU that was asked for last: mostly all purchases of a call are of one

local function sku_of(p)
  local s = last_of
  if not s or s.sku ~= p[SKU] or s.sale_id ~= p[SALE] then
    s = skus[agenda_member(p[SALE], p[SKU])]
    last_of = s
  end
  return s
end

-- Marks a purchase as changed by this call: one version, one record, one movement, however often it changes in it.
local function touch(id, p, available, held, sold)
  local m = movements[id]
  if m then
    movements[id] = { m[1] + available, m[2] + held, m[3] + sold }
  else
    movements[id], touched[#touched + 1] = { available, held, sold }, id
    p[VERSION], p[UPDATED_AT] = p[VERSION] + 1, NOW
  end
  local s = sku_of(p)
  s.available, s.held, s.sold, s.is_changed = s.available + available, s.held + held, s.sold + sold, true
  if held ~= 0 then s.holders = s.holders + (held > 0 and 1 or -1) end
  if sold < 0 then come_back(s, -sold) end
end

-- Holds whose payment has not started; only where the sale asks for their number.
local function count_starts(sale, by)
  if sale.startBacklogLimit > 0 then sale.unstarted, sale.is_changed = math.max(0, sale.unstarted + by), true end
end

-- A status moves.
local function set_status(sale, p, status)
  if p[ORDER_REF] == '' then
    if p[STATUS] == 'RESERVED' then count_starts(sale, -1) end
    if status == 'RESERVED' then count_starts(sale, 1) end
  end
  p[STATUS] = status
end

local function take_seq()
  SEQ = SEQ + 1
  return SEQ
end

-- Every SKU's counts carry the sale's status, so all of them get a new version.
local function set_sale_status(sale, status)
  for _, sku in ipairs(skus_of(sale)) do
    local s = open_sku(sale.id, sku)
    if s then s.is_changed = true end
  end
  sale.status, sale.version, sale.is_changed = status, sale.version + 1, true
  records[#records + 1] = { 'e', take_seq(), sale.id, status, sale.version, NOW }
end

local function start_hold(sale, s, id, p)
  set_status(sale, p, 'RESERVED')
  p[EXPIRES_AT], p[HAD_HOLD] = NOW + sale.holdMs, 1
  add_hold(s, id, p[TICKET], p[EXPIRES_AT])
  touch(id, p, -p[QUANTITY], p[QUANTITY], 0)
end
