-- What people do about parked rows: who has one, who closed it and why, how often it was replayed;
-- and the numbers that its message names, so that it is found by them.

-- The lock comes first: raised later, it could deadlock with a gateway.
LOCK TABLE parked IN ACCESS EXCLUSIVE MODE;
ALTER TABLE parked
    -- The account that reported it, or where else it came from.
    ADD COLUMN account        text NOT NULL DEFAULT '',
    ADD COLUMN order_no       text NOT NULL DEFAULT '',
    ADD COLUMN transaction_no text NOT NULL DEFAULT '',
    ADD COLUMN assignee       text,
    -- Who closed it; null and closed: what it told was applied.
    ADD COLUMN resolved_by    text,
    ADD COLUMN resolution     text,
    ADD COLUMN is_replayed    boolean NOT NULL DEFAULT false,
    ADD COLUMN replays        integer NOT NULL DEFAULT 0,
    ADD COLUMN replayed_at    timestamptz;
CREATE INDEX parked_received ON parked (received_at, id);
CREATE INDEX parked_order ON parked (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX parked_order_no ON parked (order_no) WHERE order_no <> '';
CREATE INDEX parked_transaction_no ON parked (transaction_no) WHERE transaction_no <> '';

-- Rows that are open now: what waits knows its numbers, the others those of their order.
UPDATE parked p
   SET account = w.source, order_no = w.order_no, transaction_no = w.transaction_id
  FROM waiting w
 WHERE p.resolved_at IS NULL AND p.source_key = w.id::text AND w.shown_at IS NOT NULL;
UPDATE parked p
   SET order_no = o.order_no
  FROM orders o
 WHERE p.resolved_at IS NULL AND p.order_no = '' AND o.id = p.order_id;
-- Orders that could not be stored, and what shops tell of an order that is not stored as told: the
-- number is their key, or in it.
UPDATE parked
   SET order_no = CASE WHEN source LIKE 'placed%' THEN source_key ELSE split_part(source_key, ' ', 2) END
 WHERE resolved_at IS NULL AND order_no = ''
   AND (source LIKE 'placed%' OR source_key ~ '^(refused|amended|changed) \S+ ');
