-- An order's history in the order of arrival.
SELECT id, action, from_status, to_status, outcome, reason, detail, source, trigger, occurred_at,
       received_at
  FROM order_events
 WHERE order_id = $1
 ORDER BY received_at, id
 LIMIT 1000
