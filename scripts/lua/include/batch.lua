-- A batch of purchases by id: each is loaded with its sale and SKU, decided alone, and answered alone. An item that
-- cannot be read changes nothing for the others.
local function load_purchase(id)
  local p = type(id) == 'string' and purchases[id]
  if not p then return nil end
  local sale = open_sale(p[SALE])
  local s = sale and open_sku(p[SALE], p[SKU])
  if not s then return nil end
  settle_state(sale)
  return p, sale, s
end

local function text_of(value) return type(value) == 'string' and value or '' end

-- decide(id, item, p, sale, s) → code. Returns { { id, code, purchase or false } … } after one commit.
local function decide_batch(items, decide)
  local ids = {}
  for _, item in ipairs(items) do
    if type(item) == 'table' and type(item[1]) == 'string' then ids[#ids + 1] = item[1] end
  end
  read_into_book(ids)
  local results = {}
  for i, item in ipairs(items) do
    local id = type(item) == 'table' and item[1] or ''
    local p, sale, s = load_purchase(id)
    if p then
      local code = decide(id, item, p, sale, s)
      results[i] = { id, code, code ~= 'NOT_FOUND' and p }
    else
      results[i] = { type(id) == 'string' and id or '', corrupt[id] and 'CORRUPT' or 'NOT_FOUND', false }
    end
  end
  local budget = 256
  for _, s in ipairs(sku_order) do
    if s.is_changed then budget = offer(sales[s.sale_id], s, budget) end
  end
  commit()
  return reply('OK', results)
end
