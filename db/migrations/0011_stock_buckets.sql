-- A sale may be split into buckets: each is a sale of its own in a partition of its own, with a share of the stock (ADR 20).
-- Bucket 0 has the id that the public knows.
ALTER TABLE sales
  ADD COLUMN bucket  integer NOT NULL DEFAULT 0 CHECK (bucket >= 0),
  ADD COLUMN buckets integer NOT NULL DEFAULT 1,
  ADD CONSTRAINT sales_bucket_is_one_of_them CHECK (bucket < buckets);
CREATE INDEX sales_split ON sales (created_at) WHERE buckets > 1 AND bucket = 0;

-- `total_stock`: of all buckets; null where the sale has one. A SKU is in each bucket once.
ALTER TABLE sale_items
  ADD COLUMN bucket      integer NOT NULL DEFAULT 0 CHECK (bucket >= 0),
  ADD COLUMN total_stock bigint CHECK (total_stock >= stock);
DROP INDEX sale_items_live_sku;
CREATE UNIQUE INDEX sale_items_live_sku ON sale_items (sku, bucket) WHERE is_live;

-- Units on their way from one bucket to another. Written before they are taken, so that whoever finds the row can finish it:
-- both halves are done once per id, and are in the ledger as `<transfer_id>-out` and `<transfer_id>-in`. Open until the
-- second is there, or nothing was taken: a Redis that is lost in between is built again from the ledger.
CREATE TABLE transfers (
  transfer_id text        PRIMARY KEY,
  sale_id     text        NOT NULL,
  sku         text        NOT NULL,
  from_sale   text        NOT NULL,
  to_sale     text        NOT NULL CHECK (to_sale <> from_sale),
  units       bigint      NOT NULL CHECK (units > 0),
  is_pressed  boolean     NOT NULL DEFAULT false,
  created_at  timestamptz NOT NULL DEFAULT now(),
  done_at     timestamptz,
  moved       bigint
);
CREATE INDEX transfers_open ON transfers (created_at) WHERE done_at IS NULL;
