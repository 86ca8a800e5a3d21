-- The names of a partition's keys, derived from its fence key: `db:{p3}:fence`. All carry one hash tag, so that a
-- script may reach any of them, in a cluster too. TypeScript names the few it touches in actors/keys.ts.
local TAG = string.match(KEYS[1], '^(db:{p%d+}:)fence$')
if not TAG then return redis.error_reply('ERR KEYS[1] is not the fence key of a partition') end

local FENCE = KEYS[1] -- hash: epoch, seq, applied
local OUTBOX = TAG .. 'outbox' -- stream of what the scripts did
local FEED = TAG .. 'feed' -- channel of the same
local DEADLINES = TAG .. 'deadlines' -- zset: '<sale> <sku>' by the earliest end of a hold
local ADMISSIONS = TAG .. 'admissions' -- zset: '<sale> <sku>' by the time its line is to be looked at
local SCHEDULE = TAG .. 'schedule' -- zset: sale by its next opening, closing, slice of closing, purge

local SKUS = TAG .. 'skus' -- hash: '<sale> <sku> <price> <currency>' by number; 'last': the number last given out
local PURCHASE = TAG .. 'p:' -- and the id: a purchase, see encoding.lua

local function operation_key(id) return TAG .. 'operation:' .. id end
local function order_key(id) return TAG .. 'order:' .. id end -- msgpack { fingerprint, { purchaseId … } }
local function sale_key(sale) return TAG .. 'sale:' .. sale end
local function buyers_key(sale) return TAG .. 'buyers:' .. sale end

-- what: stock (hash of counts), line (zset: waiting by ticket), big (zset: waiting for more than one unit, by
-- quantity), holds (zset: held by expiry), tickets (list: every purchase by ticket), orders (list: holds of orders), lots
-- (hash: what purchases of one batch have in common, encoding.lua)
local function sku_key(what, sale, sku) return TAG .. what .. ':' .. sale .. ':' .. sku end
local function agenda_member(sale, sku) return sale .. ' ' .. sku end
local function agenda_parts(member) return string.match(member, '^(%S+) (%S+)$') end
