-- What screening rules found of an order: findings, warehouse and carrier. Null of most orders, and a
-- column that may be null takes no time.
ALTER TABLE orders ADD COLUMN screening jsonb;

-- Purchases that limits count, by rule and buyer (or phone, by its blind index): the last `kept` of
-- them, or more where some came late. Another table than that of velocity: its rows last longer.
CREATE TYPE purchase AS (
    at     timestamptz,
    pieces integer
);
CREATE TABLE purchases (
    key        bytea PRIMARY KEY,
    kept       integer NOT NULL,
    recent     purchase[] NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 80);
