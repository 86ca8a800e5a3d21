-- The names of a partition's keys, derived from its fence key: `db:{p3}:fence`. All carry one hash tag, so that a
-- script may reach any of them, in a cluster too. TypeScript names the few it touches in actors/keys.ts.
local TAG, PARTITION = string.match(KEYS[1], '^(db:{p(%d+)}:)fence$')
if not TAG then return redis.error_reply('ERR KEYS[1] is not the fence key of a partition') end

local FENCE = KEYS[1] -- hash: epoch, seq, applied
local OUTBOX = TAG .. 'outbox' -- stream of what the scripts did
local FEED = TAG .. 'feed' -- channel of the same
local DEADLINES = TAG .. 'deadlines' -- zset: '<sale> <sku>' by the earliest end of a hold
local ADMISSIONS = TAG .. 'admissions' -- zset: '<sale> <sku>' by the time its line is to be looked at
local SCHEDULE = TAG .. 'schedule' -- zset: sale by its next opening, closing, slice of closing, purge

local SKUS = TAG .. 'skus' -- hash: '<sale> <sku> <price> <currency>' by number; 'last': the number last given out
local PURCHASES = TAG .. 'purchases' -- hash: folders of purchases (folders.lua) by the print with which their ids begin

-- An id is what all ids of a partition begin with, the print of whose purchase it is (buyer and sale), and what tells the
-- purchases of one print apart. Ids of another kind, which only tests and tools have, are a print by themselves.
local COMMON_HEAD
do
  local digits, high, low = '0123456789abcdefghijklmnopqrstuvwxyz', math.floor(PARTITION / 36) + 1, PARTITION % 36 + 1
  COMMON_HEAD = 'pur_' .. string.sub(digits, high, high) .. string.sub(digits, low, low)
end
local cut = string.sub -- it is asked for several times a purchase
local function has_print(id) return #id == 30 and cut(id, 1, 6) == COMMON_HEAD end
local is_foreign = {} -- fields of ids of another kind, as they are met
local function field_of(id)
  if #id == 30 and cut(id, 1, 6) == COMMON_HEAD then return cut(id, 7, 18) end
  local field = '/' .. id
  is_foreign[field] = true
  return field
end
local function rest_in(id, field) return is_foreign[field] and '' or cut(id, 19) end
local function rest_of(id) return rest_in(id, field_of(id)) end
local function short_of(id) return has_print(id) and string.sub(id, 7) or '/' .. id end
local function id_of_short(short) return string.byte(short) == 47 and string.sub(short, 2) or COMMON_HEAD .. short end

-- The ids that a list of tickets names, in its place.
local function ids_of(shorts)
  for i = 1, #shorts do
    local short = shorts[i]
    shorts[i] = string.byte(short) ~= 47 and COMMON_HEAD .. short or id_of_short(short)
  end
  return shorts
end

local function operation_key(id) return TAG .. 'operation:' .. id end
local function order_key(id) return TAG .. 'order:' .. id end -- msgpack { fingerprint, { purchaseId … } }
local function sale_key(sale) return TAG .. 'sale:' .. sale end
local function strays_key(sale) return TAG .. 'strays:' .. sale end -- hash by buyer: purchases without their print (strays.lua)

-- what: stock (hash of counts), tickets (list: short ids by ticket; from the count `head` on it is the line), big (zset:
-- waiting for more than one unit, by quantity), holds (list: runs of tickets by the end of their holds, hold-runs.lua), ends
-- (zset: holds that are in no run, by their end), orders (list: holds of orders), lots (hash: what purchases of one batch have
-- in common, encoding.lua)
local function sku_key(what, sale, sku) return TAG .. what .. ':' .. sale .. ':' .. sku end
local function agenda_member(sale, sku) return sale .. ' ' .. sku end
local function agenda_parts(member) return string.match(member, '^(%S+) (%S+)$') end
