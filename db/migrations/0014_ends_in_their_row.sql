-- A hold that expires is the other mass event of a sale: its movement back (held → available, the whole quantity) is kept in the
-- purchase's row as its first hold is, instead of a row of its own with two index entries.
-- `end_…`: that movement, at its version and outbox position. Whatever else moves stays in `movements`, and so do older ends.
ALTER TABLE purchases
  ADD COLUMN end_version bigint,
  ADD COLUMN end_seq bigint,
  ADD COLUMN end_at timestamptz,
  ADD CONSTRAINT purchases_end_is_whole CHECK (num_nulls(end_version, end_seq, end_at) IN (0, 3));

-- With its end a row is 24 bytes longer: as much more room, so that all that end together find it in their page.
ALTER TABLE purchases SET (fillfactor = 46);

CREATE OR REPLACE VIEW ledger AS
  SELECT purchase_id, hold_version AS version,
         36 * (strpos('0123456789abcdefghijklmnopqrstuvwxyz', substr(purchase_id, 5, 1)) - 1)
            + (strpos('0123456789abcdefghijklmnopqrstuvwxyz', substr(purchase_id, 6, 1)) - 1) AS partition,
         hold_seq AS seq, sale_id, sku, -quantity::bigint AS d_available, quantity::bigint AS d_held, 0::bigint AS d_sold,
         0::bigint AS d_loaded, 'RESERVED' AS reason, hold_at AS at
    FROM purchases WHERE hold_seq IS NOT NULL
  UNION ALL
  SELECT purchase_id, end_version,
         36 * (strpos('0123456789abcdefghijklmnopqrstuvwxyz', substr(purchase_id, 5, 1)) - 1)
            + (strpos('0123456789abcdefghijklmnopqrstuvwxyz', substr(purchase_id, 6, 1)) - 1),
         end_seq, sale_id, sku, quantity::bigint, -quantity::bigint, 0::bigint, 0::bigint, 'EXPIRED', end_at
    FROM purchases WHERE end_seq IS NOT NULL
  UNION ALL
  SELECT purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at FROM movements;

-- The ledger stays append only where it is a part of the purchase's row. Looked at afterwards and only where such a column is
-- written: a trigger before the update would lock every row once more, with a record of its own in the WAL.
DROP TRIGGER purchases_keep_their_hold ON purchases;
CREATE TRIGGER purchases_keep_their_hold
  AFTER UPDATE OF purchase_id, hold_version, hold_seq, hold_at, sale_id, sku, quantity ON purchases FOR EACH ROW
  WHEN (OLD.hold_seq IS NOT NULL AND (OLD.purchase_id, OLD.hold_version, OLD.hold_seq, OLD.hold_at, OLD.sale_id, OLD.sku, OLD.quantity)
    IS DISTINCT FROM (NEW.purchase_id, NEW.hold_version, NEW.hold_seq, NEW.hold_at, NEW.sale_id, NEW.sku, NEW.quantity))
  EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER purchases_keep_their_end
  AFTER UPDATE OF purchase_id, end_version, end_seq, end_at, sale_id, sku, quantity ON purchases FOR EACH ROW
  WHEN (OLD.end_seq IS NOT NULL AND (OLD.purchase_id, OLD.end_version, OLD.end_seq, OLD.end_at, OLD.sale_id, OLD.sku, OLD.quantity)
    IS DISTINCT FROM (NEW.purchase_id, NEW.end_version, NEW.end_seq, NEW.end_at, NEW.sale_id, NEW.sku, NEW.quantity))
  EXECUTE FUNCTION refuse_ledger_change();
DROP TRIGGER purchases_with_holds_stay ON purchases;
CREATE TRIGGER purchases_with_holds_stay BEFORE DELETE ON purchases FOR EACH ROW
  WHEN (OLD.hold_seq IS NOT NULL OR OLD.end_seq IS NOT NULL) EXECUTE FUNCTION refuse_ledger_change();

-- A worker of the version before, that takes up a batch which one of this version committed: the end is in the purchase's row. Its
-- try is one to be made again, and by then the entry is another's or gone.
CREATE FUNCTION refuse_second_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM purchases WHERE purchase_id = NEW.purchase_id AND end_version = NEW.version) THEN
    RAISE EXCEPTION 'the purchase has this movement in its own row' USING ERRCODE = 'serialization_failure';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER movements_are_no_second_end AFTER INSERT ON movements FOR EACH ROW
  WHEN (NEW.reason = 'EXPIRED' AND NEW.d_held < 0) EXECUTE FUNCTION refuse_second_end();
