-- Orders that an event waits for which was not yet tried on their present state. Money goes back
-- from where it went, whatever number its message names. OFFSET 0: see `lock_orders.sql`.
SELECT DISTINCT o.id
  FROM waiting w
       CROSS JOIN LATERAL (
           SELECT q.id, q.updated_at FROM orders q
            WHERE q.order_no = w.order_no AND q.channel = ANY (w.channels)
              AND q.is_test = w.is_test
           OFFSET 0
       ) o
 WHERE w.order_no <> '' AND (w.tried_at IS NULL OR w.tried_at < o.updated_at)
UNION
SELECT o.id
  FROM waiting w
       CROSS JOIN LATERAL (
           SELECT q.order_id FROM order_no_aliases q
            WHERE q.order_no = w.order_no AND q.channel = ANY (w.channels)
              AND q.is_test = w.is_test
           OFFSET 0
       ) a
       CROSS JOIN LATERAL (
           SELECT q.id, q.updated_at FROM orders q WHERE q.id = a.order_id OFFSET 0
       ) o
 WHERE w.order_no <> '' AND (w.tried_at IS NULL OR w.tried_at < o.updated_at)
UNION
SELECT p.order_id
  FROM waiting w
       CROSS JOIN LATERAL (
           SELECT q.order_id FROM payments q
            WHERE q.provider = w.provider AND q.transaction_id = w.transaction_id
           UNION
           SELECT q.order_id FROM payment_names n JOIN payments q ON q.id = n.payment_id
            WHERE n.provider = w.provider AND n.name = w.transaction_id
       ) p
       CROSS JOIN LATERAL (
           SELECT q.id, q.channel, q.updated_at FROM orders q WHERE q.id = p.order_id OFFSET 0
       ) o
 WHERE (
           w.order_no = ''
           OR w.event ->> 'type' IN ('refund_succeeded', 'refund_failed', 'dispute')
       )
   AND o.channel = ANY (w.channels) AND (w.tried_at IS NULL OR w.tried_at < o.updated_at)
 LIMIT $1
