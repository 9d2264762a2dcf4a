-- An order's history in the order of its steps: ids are made one after the other, also for an
-- event that arrived before its order and was applied later.
SELECT id, action, from_status, to_status, outcome, reason, detail, source, trigger, occurred_at,
       received_at
  FROM order_events
 WHERE order_id = $1
 ORDER BY id
 LIMIT 1000
