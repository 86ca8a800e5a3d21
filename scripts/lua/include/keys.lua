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
local PURCHASES = TAG .. 'purchases' -- hash: purchases (encoding.lua) by the part of their ids that is not the same for all

-- One hash for all of a partition: an entry takes 33 bytes less there than a key of its own does, without what all ids share.
local COMMON_HEAD = 'pur_0' .. string.sub('0123456789abcdefghijklmnopqrstuvwxyz', 1 + PARTITION, 1 + PARTITION)
local function field_of(id) return string.sub(id, 1, 6) == COMMON_HEAD and string.sub(id, 7) or '/' .. id end

local function operation_key(id) return TAG .. 'operation:' .. id end
local function order_key(id) return TAG .. 'order:' .. id end -- msgpack { fingerprint, { purchaseId … } }
local function sale_key(sale) return TAG .. 'sale:' .. sale end
local function buyers_key(sale) return TAG .. 'buyers:' .. sale end

-- what: stock (hash of counts), tickets (list: every purchase by ticket; from the count `head` on it is the line), big (zset:
-- waiting for more than one unit, by quantity), holds (list: runs of tickets by the end of their holds, hold-runs.lua), ends
-- (zset: holds that are in no run, by their end), orders (list: holds of orders), lots (hash: what purchases of one batch have
-- in common, encoding.lua)
local function sku_key(what, sale, sku) return TAG .. what .. ':' .. sale .. ':' .. sku end
local function agenda_member(sale, sku) return sale .. ' ' .. sku end
local function agenda_parts(member) return string.match(member, '^(%S+) (%S+)$') end
