-- A purchase that this very call accepts. No table is made for it, as it is made for one that changes: what it has in common
-- with the others of its batch is packed once, and it is told, and written, as it is.
local fresh = {} -- ids

-- Its shape. `s.lots`: those of this call, by status, quantity and fingerprint. Where many are to be expected the tail is
-- kept once, under the lot's first ticket: a purchase takes 32 bytes less that way, and a lot 150.
local function lot_of(sale, s, status, quantity, print, ticket)
  local last = s.last_lot
  if last and last.quantity == quantity and last.status == status and last.print == print then return last.shape end
  local mark = status .. quantity .. ' ' .. print
  s.last_lot = { quantity = quantity, status = status, print = print, shape = s.lots[mark] }
  if s.lots[mark] then return s.lots[mark] end
  local held = status == 'RESERVED' and 1 or 0
  local p = { 1, status, '', s.sale_id, s.sku, quantity, 0, held * (NOW + sale.holdMs), s.unitPrice, s.currency, NOW, NOW,
    '', '', print, 0, held }
  local shape = shape_of(p, s.number, -held * quantity, held * quantity, 0)
  if s.has_crowd then
    s.lots_add[#s.lots_add + 1], s.lots_add[#s.lots_add + 2] = ticket, shape.tail
    lots_of(s.number)[ticket] = p
    shape.tail = pack(s.number, ticket)
  end
  s.lots[mark], s.last_lot.shape = shape, shape
  return shape
end

local function fresh_purchase(id) return fresh[id] and read_purchases({ id })[id] end

-- A ticket, and with it a hold or a place in the line. Answers what its caller is told.
local function accept(sale, s, id, field, buyer, quantity, print, is_reserved)
  local ticket = s.lastTicket + 1
  s.lastTicket, s.is_changed = ticket, true
  s.tickets_add[ticket - s.tickets_before] = is_foreign[field] and field or cut(id, 7)
  if is_reserved then
    s.available, s.held, s.holders = s.available - quantity, s.held + quantity, s.holders + 1
    count_starts(sale, 1)
    add_hold(s, id, ticket, NOW + sale.holdMs)
  else
    if s.waiters == 0 then s.head = ticket end
    if quantity > 1 then s.big_add[#s.big_add + 1], s.big_add[#s.big_add + 2] = quantity, id end
    s.waiters, s.waiting = s.waiters + 1, s.waiting + quantity
  end
  local shape = lot_of(sale, s, is_reserved and 'RESERVED' or 'WAITING', quantity, print, ticket)
  local record = head_of(id, field) .. tell(accepted, id, buyer, ticket, shape) .. shape.tail
  fresh[id] = true
  if folders[field] then
    add_record(sale, field, id, record)
  else
    folders[field], changed_fields[#changed_fields + 1] = record, field
  end
  return is_reserved and ticket or -ticket
end
