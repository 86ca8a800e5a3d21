#!lua
-- reserve: batches of purchases, each of one SKU, in the order in which they came. Each purchase is looked up by id first (a
-- retry gets its first answer, as it is now), then checked, then RESERVED with a hold, or WAITING with a ticket, or refused.
-- Who is refused leaves nothing behind. What all batches decide is written and told in one go.
-- KEYS[1] fence  the fence key of the sales' partition
-- INPUT  { backlogMax, { { saleId, sku, { purchaseId … }, { buyer … }, { quantity … }, { fingerprint … } } … } }
--        at most 512 purchases in all; a SKU stands in one batch
-- BODY   { { context or false, { outcome … }, unit price, currency } … }     one per batch, and in it one per item, in order
-- outcome: ticket > 0 RESERVED now, until now + holdMs; ticket < 0 WAITING; code of a refusal; { purchase } of a retry, or
--          { purchase, purchaseId } where it has another id (strays.lua); { 'LIMIT_EXCEEDED', purchaseId } with the buyer's live one
--- @include call
--- @include book
--- @include limit
--- @include commit
--- @include line
--- @include holds
--- @include state
--- @include memory
--- @include context
--- @include wish
--- @include accept
--- @include read-ahead
local BACKLOG_MAX, BATCHES = INPUT[1], INPUT[2]
local closed_gate = gate(BACKLOG_MAX)
local sale, s -- of the batch at hand

-- The live purchase is told of with LIMIT_EXCEEDED.
local function why_refused(field, buyer, quantity)
  if sale.status == 'CLOSED' then return 'SALE_CLOSED' end
  if sale.status == 'PAUSED' or s.blocked ~= '' then return 'SALE_PAUSED' end
  if closed_gate then return closed_gate end
  if sale.perBuyerLimit > 0 then
    local units, live, of_folder = 0, nil, nil
    if folders[field] or sale.strays > 0 then units, live, of_folder = units_of(sale, buyer, field) end
    if not units then return 'BAD_REQUEST' end
    if units + quantity > sale.perBuyerLimit then
      live = live_of(live, of_folder)
      return live and { 'LIMIT_EXCEEDED', live } or 'LIMIT_EXCEEDED'
    end
  end
  if quantity > unsold_of(s) then return 'SOLD_OUT' end
  return nil
end

-- Free stock, nobody before, and the sale admits. Where only the throttle stands in the way, also when to ask again.
local function may_reserve(quantity)
  if sale.status ~= 'OPEN' or s.waiters > 0 or quantity > s.available then return false end
  return take_admission(sale)
end

-- The id was used for this very wish: a retry.
local function is_same(p, buyer, quantity, print)
  return p[BUYER] == buyer and p[FINGERPRINT] == print and p[QUANTITY] == quantity and p[SALE] == s.sale_id
    and p[SKU] == s.sku
end

local function decide(id, field, buyer, quantity, print)
  local known = fresh[id] and fresh_purchase(id) or purchases[id]
  local stray = not known and sale.strays > 0 and stray_of(sale, buyer, id)
  if stray then known = purchases[stray] end
  if known then return is_same(known, buyer, quantity, print) and { known, stray or nil } or 'KEY_REUSED' end
  if corrupt[id] then return 'BAD_REQUEST' end
  local refusal = why_refused(field, buyer, quantity)
  if refusal then return refusal end
  local is_reserved, later = may_reserve(quantity)
  if not is_reserved then
    local line_limit = sale.lineLimit < 0 and 2 * s.loaded or sale.lineLimit
    if sale.status == 'OPEN' and s.waiting + quantity > line_limit then return 'LINE_FULL' end
    s.look_at = later or s.look_at
  end
  return accept(sale, s, id, field, buyer, quantity, print, is_reserved)
end

-- The outcomes of a batch. Where sale or SKU are unknown nobody gets anything, but a used id is told of all the same.
local function serve(sound, fields, sale_id, sku, ids, buyers, quantities, prints)
  local outcomes = {}
  sale = open_sale(sale_id)
  s = sale and open_sku(sale_id, sku)
  if not s then
    local code = sale and 'SKU_NOT_FOUND' or 'SALE_NOT_FOUND'
    for i, id in ipairs(ids) do outcomes[i] = sale and sound[i] and purchases[id] and 'KEY_REUSED' or code end
    return outcomes
  end
  s.has_crowd = #ids >= 8
  settle_state(sale)
  if not closed_gate then
    expire_due(sale, s, 64)
    offer(sale, s, 256)
  end
  for i, id in ipairs(ids) do
    outcomes[i] = sound[i] and decide(id, fields[i], buyers[i], quantities[i], prints[i]) or 'BAD_REQUEST'
  end
  return outcomes
end

local sound, fields = read_ahead(BATCHES)
local answers, opened = {}, {}
for i, batch in ipairs(BATCHES) do
  answers[i] = { false, serve(sound[i], fields[i], unpack(batch, 1, 6)), 0, '' }
  opened[i] = s or false
end
commit()
for i, s in ipairs(opened) do
  if s then answers[i] = { context_of(sales[s.sale_id], s), answers[i][2], s.unitPrice, s.currency } end
end
return reply('OK', answers)
