-- The history of an order, by its id or else by an alias of it, in the order of its steps: their
-- ids grow, also where an event arrived before its order and was applied later.
SELECT e.id, e.action, e.from_status, e.to_status, e.outcome, e.reason, e.detail, e.source,
       e.trigger, e.occurred_at, e.received_at, e.actor, e.approved_by, c.change
  FROM order_events e
       LEFT JOIN address_changes c ON c.id = e.id
 WHERE e.order_id = coalesce(
           (SELECT n.id FROM orders n WHERE n.id = $1),
           (SELECT a.order_id FROM order_aliases a WHERE a.alias = $1)
       )
 ORDER BY e.id
 LIMIT 1000
