-- What a call tells of itself: one entry of the outbox, whose bytes are the feed's message too. What purchases of one call
-- have in common (all but id, buyer and ticket, mostly) is a shape and stands once:
-- { 2, { record of a stock or a sale … }, seq of the first purchase, { shape … }, { shape's place, id, buyer, ticket, … } }
-- shape: { sale, sku, unit price, currency, version, status, quantity, expires at, created at, updated at, reason,
--          order, fingerprint, refund due 0/1, had a hold 0/1, available, held, sold }    the last three: by how much
local pack = cmsgpack.pack

local function array_head(size)
  return string.char(221, 0, math.floor(size / 65536) % 256, math.floor(size / 256) % 256, size % 256)
end

local shapes = {}
local changed, accepted = {}, {} -- rows of the entry
local alike = {} -- shapes by their purchases' tail, and where tails are the same and movements are not, by both

-- What purchases have in common: where it stands in the entry, and the tail of their bytes.
local function shape_of(p, number, available, held, sold)
  local tail = tail_of(p, number)
  local mark, shape = tail, alike[tail]
  if shape and not (shape.available == available and shape.held == held and shape.sold == sold) then
    mark = tail .. available .. ' ' .. held .. ' ' .. sold
    shape = alike[mark]
  end
  if shape then return shape end
  shape = { tail = tail, place = pack(#shapes), heads = {}, available = available, held = held, sold = sold }
  alike[mark] = shape
  shapes[#shapes + 1] = '\220\000\018' .. pack(p[SALE], p[SKU], p[UNIT_PRICE], p[CURRENCY], p[VERSION], p[STATUS],
    p[QUANTITY], p[EXPIRES_AT], p[CREATED_AT], p[UPDATED_AT], p[REASON], p[ORDER_REF], p[FINGERPRINT], p[REFUND_DUE],
    p[HAD_HOLD], available, held, sold)
  return shape
end

-- A row of the entry. Answers the buyer and the ticket as they are packed, for its record.
local function tell(rows, id, buyer, ticket, shape)
  local head = shape.heads[#id]
  if not head then
    head = shape.place .. text_head(#id)
    shape.heads[#id] = head
  end
  local lead = pack(buyer, ticket)
  rows[#rows + 1] = head .. id .. lead
  return lead
end

-- The entry's bytes; nil where there is nothing to tell. What changed comes before what was accepted after it: who was
-- admitted from the line before who came now. Their positions follow those of `records`.
local function pack_entry()
  for _, id in ipairs(touched) do
    local p, m = purchases[id], movements[id]
    local shape = shape_of(p, sku_of(p).number, m[1], m[2], m[3])
    replace_record(id, tell(changed, id, p[BUYER], p[TICKET], shape), shape.tail)
  end
  local rows = #changed + #accepted
  local first, count = SEQ + 1, #records + rows
  if count == 0 then return nil, 0 end
  SEQ = SEQ + rows
  return '\149' .. pack(2, records, first) .. array_head(#shapes) .. table.concat(shapes)
    .. array_head(4 * rows) .. table.concat(changed) .. table.concat(accepted), count
end
