-- What an order holds in this partition: its fingerprint and its purchases, for a week. With the order's id in it a repeat
-- finds the first answer, and another body under the same id is refused.
local ORDER_KEPT_MS = 7 * 86400000

-- { fingerprint, { purchaseId … } } with those purchases in the book, or nil.
local function read_order(order)
  local raw = redis.call('GET', order_key(order))
  local is_ok, known = pcall(cmsgpack.unpack, raw or '')
  if not raw or not is_ok or type(known) ~= 'table' or type(known[1]) ~= 'string' or type(known[2]) ~= 'table' then return nil end
  read_into_book(known[2])
  return known
end

local function write_order(order, print, rows)
  local ids = {}
  for i, row in ipairs(rows) do ids[i] = row[1] end
  further[#further + 1] = { 'SET', order_key(order), cmsgpack.pack({ print, ids }), 'PX', ORDER_KEPT_MS }
end
