-- What a purchase costs where its row is written. Buyers come in no order: a hash index takes each for half of what the tree did,
-- and is only ever asked for one. The holds of orders have no buyer; thousands under one key would be one long chain.
DROP INDEX purchases_by_buyer;
CREATE INDEX purchases_by_buyer ON purchases USING hash (buyer_id) WHERE buyer_id <> '';

-- Holds that were made together end together, and each end is a new version of its row: with less room in the page every second one
-- went to another page, with new entries in every index.
ALTER TABLE purchases SET (fillfactor = 50);
