-- A purchase, its order and the movement by which it got its hold are one row: at a sale's pace four rows with eleven index
-- entries cost four times the processor time. `orders`, `order_items` and `ledger` go on as views of the same columns; what is
-- not a purchase's own has tables: orders of carts, and every movement that is no first hold (`movements`).

-- The order of a purchase: null until it got a hold, and for the hold of a cart's order. What it bills is the purchase's.
-- `order_moved_at`: when people moved it last (packed, shipped), which is no news of the purchase.
-- `hold_…`: the movement available → held of the whole quantity, at that version and outbox position.
ALTER TABLE purchases
  ADD COLUMN order_status text CHECK (order_status IN
    ('CREATED', 'CONFIRMED', 'PACKED', 'SHIPPED', 'DELIVERED', 'CANCELLED', 'EXPIRED', 'FAILED', 'REFUNDED')),
  ADD COLUMN order_moved_at timestamptz,
  ADD COLUMN hold_version bigint,
  ADD COLUMN hold_seq bigint,
  ADD COLUMN hold_at timestamptz,
  ADD CONSTRAINT purchases_hold_is_whole CHECK (num_nulls(hold_version, hold_seq, hold_at) IN (0, 3));

-- Holds still to end: found by block ranges, since deadlines are written about in their order; changes stay heap-only.
DROP INDEX purchases_by_hold_end;
CREATE INDEX purchases_by_hold_end ON purchases USING brin (expires_at) WITH (pages_per_range = 32, autosummarize = on);
-- A user's orders are few: sorted when they are read.
CREATE INDEX purchases_by_buyer ON purchases (buyer_id);

-- Orders that were moved by hand keep the time of it; those without their purchase stay where they are, and are told of.
UPDATE purchases p SET order_status = o.status, order_moved_at = CASE WHEN o.updated_at > p.updated_at THEN o.updated_at END
  FROM orders o WHERE o.purchase_id = p.purchase_id;
DELETE FROM order_items i USING orders o, purchases p WHERE i.order_id = o.order_id AND p.purchase_id = o.purchase_id;
DELETE FROM orders o USING purchases p WHERE p.purchase_id = o.purchase_id;

ALTER TABLE orders RENAME TO cart_orders;
ALTER TABLE cart_orders DROP CONSTRAINT orders_purchase_id_key;
ALTER TABLE order_items RENAME TO cart_order_items;
ALTER INDEX orders_by_user RENAME TO cart_orders_by_user;
ALTER INDEX orders_by_sale RENAME TO cart_orders_by_sale;

-- `payment_key` is what payments and refunds call an order: its purchase, or the cart's order itself. Joins go by it.
CREATE VIEW orders AS
  SELECT 'ord_' || substr(purchase_id, 5) AS order_id, purchase_id, buyer_id AS user_id, sale_id, order_status AS status, version,
         quantity * unit_price AS total_amount, currency, created_at, greatest(updated_at, order_moved_at) AS updated_at,
         purchase_id AS payment_key
    FROM purchases WHERE order_status IS NOT NULL
  UNION ALL
  SELECT order_id, purchase_id, user_id, sale_id, status, version, total_amount, currency, created_at, updated_at, order_id
    FROM cart_orders;

CREATE VIEW order_items AS
  SELECT 'ord_' || substr(purchase_id, 5) AS order_id, 1 AS line_no, sku, quantity, unit_price, purchase_id AS payment_key
    FROM purchases WHERE order_status IS NOT NULL
  UNION ALL
  SELECT order_id, line_no, sku, quantity, unit_price, order_id FROM cart_order_items;

-- What was written so far stays where it is, first holds too: a movement is in one of the two places.
ALTER TABLE ledger RENAME TO movements;
ALTER INDEX ledger_by_sku RENAME TO movements_by_sku;
ALTER TRIGGER ledger_append_only ON movements RENAME TO movements_append_only;
ALTER TRIGGER ledger_notes_returns ON movements RENAME TO movements_note_returns;

-- The partition of a purchase is two digits of base 36 in its id.
CREATE VIEW ledger AS
  SELECT purchase_id, hold_version AS version,
         36 * (strpos('0123456789abcdefghijklmnopqrstuvwxyz', substr(purchase_id, 5, 1)) - 1)
            + (strpos('0123456789abcdefghijklmnopqrstuvwxyz', substr(purchase_id, 6, 1)) - 1) AS partition,
         hold_seq AS seq, sale_id, sku, -quantity::bigint AS d_available, quantity::bigint AS d_held, 0::bigint AS d_sold,
         0::bigint AS d_loaded, 'RESERVED' AS reason, hold_at AS at
    FROM purchases WHERE hold_seq IS NOT NULL
  UNION ALL
  SELECT purchase_id, version, partition, seq, sale_id, sku, d_available, d_held, d_sold, d_loaded, reason, at FROM movements;

-- The ledger stays append only where it is a part of the purchase's row.
CREATE TRIGGER purchases_keep_their_hold BEFORE UPDATE ON purchases FOR EACH ROW
  WHEN (OLD.hold_seq IS NOT NULL AND (OLD.purchase_id, OLD.hold_version, OLD.hold_seq, OLD.hold_at, OLD.sale_id, OLD.sku, OLD.quantity)
    IS DISTINCT FROM (NEW.purchase_id, NEW.hold_version, NEW.hold_seq, NEW.hold_at, NEW.sale_id, NEW.sku, NEW.quantity))
  EXECUTE FUNCTION refuse_ledger_change();
CREATE TRIGGER purchases_with_holds_stay BEFORE DELETE ON purchases FOR EACH ROW
  WHEN (OLD.hold_seq IS NOT NULL) EXECUTE FUNCTION refuse_ledger_change();

-- Money back without units, now of the purchase's row too.
CREATE FUNCTION note_return_of_purchase() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO returns_due (purchase_id) VALUES (NEW.purchase_id) ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER purchases_note_returns AFTER UPDATE ON purchases FOR EACH ROW
  WHEN (NEW.order_status = 'REFUNDED' AND OLD.order_status IS DISTINCT FROM 'REFUNDED') EXECUTE FUNCTION note_return_of_purchase();
