-- The history of an order, by its id or else by an alias of it, in the order of its steps: their
-- ids grow, also where an event arrived before its order and was applied later.
SELECT id, action, from_status, to_status, outcome, reason, detail, source, trigger, occurred_at,
       received_at
  FROM order_events
 WHERE order_id = coalesce(
           (SELECT n.id FROM orders n WHERE n.id = $1),
           (SELECT a.order_id FROM order_aliases a WHERE a.alias = $1)
       )
 ORDER BY id
 LIMIT 1000
