-- Orders that an event waits for which was not yet tried on their present state.
SELECT DISTINCT o.id
  FROM waiting w
  JOIN orders o
    ON o.order_no = w.order_no AND o.channel = ANY (w.channels) AND o.is_test = w.is_test
 WHERE w.order_no <> '' AND (w.tried_at IS NULL OR w.tried_at < o.updated_at)
UNION
SELECT p.order_id
  FROM waiting w
  JOIN payments p ON p.provider = w.provider AND p.transaction_id = w.transaction_id
  JOIN orders o ON o.id = p.order_id
 WHERE (w.order_no = '' OR w.event ->> 'type' = 'refund_succeeded')
   AND o.channel = ANY (w.channels) AND (w.tried_at IS NULL OR w.tried_at < o.updated_at)
 LIMIT $1
