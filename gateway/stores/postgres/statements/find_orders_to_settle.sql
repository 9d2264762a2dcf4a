-- Orders that an event waits for which was not yet tried on their present state. Money goes back
-- from where it went, whatever number its message names.
SELECT DISTINCT o.id
  FROM waiting w
  JOIN orders o
    ON o.order_no = w.order_no AND o.channel = ANY (w.channels) AND o.is_test = w.is_test
 WHERE w.order_no <> '' AND (w.tried_at IS NULL OR w.tried_at < o.updated_at)
UNION
SELECT o.id
  FROM waiting w
  JOIN order_no_aliases a
    ON a.order_no = w.order_no AND a.channel = ANY (w.channels) AND a.is_test = w.is_test
  JOIN orders o ON o.id = a.order_id
 WHERE w.tried_at IS NULL OR w.tried_at < o.updated_at
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
  JOIN orders o ON o.id = p.order_id
 WHERE (
           w.order_no = ''
           OR w.event ->> 'type' IN ('refund_succeeded', 'refund_failed', 'dispute')
       )
   AND o.channel = ANY (w.channels) AND (w.tried_at IS NULL OR w.tried_at < o.updated_at)
 LIMIT $1
