-- What a waiting purchase's place and wait are computed from; also the counts that the actor remembers.
-- { counters, opensAt, admissionPerSecond, holdMs, the earliest end of a hold or 0 }
local function context_of(sale, s)
  local first = read_sorted(s, 'ZRANGE', sku_key('holds', s.sale_id, s.sku), 0, 0, 'WITHSCORES')
  return { counters_of(s), sale.opensAt, sale.admissionPerSecond, sale.holdMs, tonumber(first[2] or 0) }
end
