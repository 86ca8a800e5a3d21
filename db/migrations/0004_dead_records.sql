-- Outbox records that Postgres refused as data, for the operator to look at and replay. The bytes are kept as they came
-- (msgpack, or the raw entry if it could not be read), because what is wrong with them may be that no text column takes them.
CREATE TABLE dead_records (
  dead_id     text        PRIMARY KEY,
  partition   integer     NOT NULL,
  entry_id    text        NOT NULL,
  purchase_id text,
  kind        text        NOT NULL CHECK (kind IN ('purchase', 'stock', 'sale', 'unreadable')),
  bytes       bytea       NOT NULL,
  error       text        NOT NULL,
  outcome     text        NOT NULL DEFAULT '',
  created_at  timestamptz NOT NULL DEFAULT now(),
  replayed_at timestamptz
);
CREATE INDEX dead_records_open ON dead_records (created_at) WHERE replayed_at IS NULL;
