-- Stage `order.paid` of orders ($1, with ids for the rows, $2) that are paid, on no hold ($3) that
-- stops the hand-off, and of which neither the outbox nor the change feed has it. The caller has
-- locked them by a statement of its own: this one sees all that was committed before. Returns the
-- orders.
WITH staged AS MATERIALIZED (
    SELECT order_id FROM outbox WHERE topic = 'order.paid' AND order_id = ANY ($1)
)
INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
SELECT i.row_id, o.id, o.version, 'order.paid', 1, now()
  FROM unnest($1::uuid[], $2::uuid[]) AS i (order_id, row_id)
       -- The array: by index also in a generic plan that was made while the table was empty.
  JOIN orders o ON o.id = i.order_id AND o.id = ANY ($1)
 WHERE o.status = 'paid' AND (o.hold IS NULL OR o.hold <> ALL ($3::text[]))
   AND NOT EXISTS (
           SELECT FROM order_changes c WHERE c.order_id = o.id AND c.topic = 'order.paid'
       )
   AND NOT EXISTS (SELECT FROM staged x WHERE x.order_id = o.id)
RETURNING order_id
