-- Look at orders again in so many seconds ($2): until then they do not keep others waiting.
UPDATE unpaid_orders SET due_at = now() + $2::int * interval '1 second'
 WHERE order_id = ANY ($1::uuid[])
