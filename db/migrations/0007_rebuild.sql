-- `seen` is the highest outbox position that any process was told of, applied or not: a Redis that came back without it has
-- lost what was acknowledged. `rebuilds` is what was done about it.
ALTER TABLE partitions ADD COLUMN seen bigint NOT NULL DEFAULT 0 CHECK (seen >= 0);

-- One row a partition and rebuild. `lost_tickets` are places in a line that were given and of which nothing is left.
CREATE TABLE rebuilds (
  rebuild_id   text        PRIMARY KEY,
  partition    integer     NOT NULL,
  epoch        bigint      NOT NULL,
  sale_id      text,
  reason       text        NOT NULL,
  started_at   timestamptz NOT NULL DEFAULT now(),
  finished_at  timestamptz,
  sales        integer     NOT NULL DEFAULT 0,
  purchases    bigint      NOT NULL DEFAULT 0,
  drained      bigint      NOT NULL DEFAULT 0,
  confirmed    bigint      NOT NULL DEFAULT 0,
  corrected    bigint      NOT NULL DEFAULT 0,
  lost_tickets bigint      NOT NULL DEFAULT 0
);
CREATE INDEX rebuilds_by_age ON rebuilds (started_at DESC);
