-- Stage `order.paid` of orders ($1, with ids for the rows, $2) that are paid, on no hold ($3) that
-- stops the hand-off, and of which neither the outbox nor the change feed has it. Decided under their
-- locks, so that it is staged once. Returns the orders.
WITH locked AS MATERIALIZED (
    SELECT o.id, o.version, o.status, o.hold, i.row_id
      FROM unnest($1::uuid[], $2::uuid[]) AS i (order_id, row_id)
           -- The array: by index also in a generic plan that was made while the table was empty.
      JOIN orders o ON o.id = i.order_id AND o.id = ANY ($1)
     ORDER BY o.id
       FOR UPDATE OF o
)
INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
SELECT l.row_id, l.id, l.version, 'order.paid', 1, now()
  FROM locked l
 WHERE l.status = 'paid' AND (l.hold IS NULL OR l.hold <> ALL ($3::text[]))
   AND NOT EXISTS (
           SELECT FROM order_changes c WHERE c.order_id = l.id AND c.topic = 'order.paid'
       )
   AND NOT EXISTS (SELECT FROM outbox x WHERE x.order_id = l.id AND x.topic = 'order.paid')
RETURNING order_id
