-- What a waiting purchase's place and wait are computed from; also the counts that the actor remembers.
-- { counters, opensAt, admissionPerSecond, holdMs, the earliest end of a hold or 0 }
local function context_of(sale, s)
  return { s.counters or counters_of(s), sale.opensAt, sale.admissionPerSecond, sale.holdMs, first_hold(s) }
end
