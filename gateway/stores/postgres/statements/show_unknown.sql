-- Show a person what has waited too long for its order. It goes on waiting; the shown row is
-- how somebody learns of it. One row of `parked` an event.
WITH late AS (
    UPDATE waiting
       SET shown_at = now()
     WHERE id IN (
               SELECT id FROM waiting
                WHERE shown_at IS NULL AND received_at < now() - make_interval(secs => $1)
                ORDER BY received_at LIMIT $2
                  FOR UPDATE SKIP LOCKED
           )
    RETURNING id, source, order_no, transaction_id, received_at
)
INSERT INTO parked (id, source, source_key, order_id, reason, detail, received_at)
SELECT id, source, id::text, NULL, 'unknown_order',
       format('no order %s for transaction %s', order_no, transaction_id), received_at
  FROM late
RETURNING id
