-- Deliver the latest `order.paid` of each of these orders ($1) to each of these targets ($2) again,
-- with the event id that it had. One that waits already, or is dead, is due now. Returns what is
-- due of it: an order that was never told as paid is not among it.
WITH latest AS MATERIALIZED (
    SELECT c.*
      FROM unnest($1::uuid[]) AS i (order_id)
           CROSS JOIN LATERAL (
               SELECT q.event_id, q.order_id, q.version, q.topic, q.changed_at
                 FROM order_changes q
                WHERE q.order_id = i.order_id AND q.topic = 'order.paid'
                ORDER BY q.position DESC
                LIMIT 1
           ) c
)
INSERT INTO deliveries AS d (
    target, event_id, position, order_id, version, topic, priority, occurred_at, due_at
)
SELECT t.name, l.event_id, nextval('outbox_position_seq'), l.order_id, l.version, l.topic, 1,
       l.changed_at, now()
  FROM latest l CROSS JOIN unnest($2::text[]) AS t (name)
    ON CONFLICT (target, event_id) DO UPDATE
   SET due_at = CASE WHEN d.claimed_by IS NOT NULL AND d.due_at > now() AND d.dead_at IS NULL
                     THEN d.due_at ELSE now() END,
       attempts = CASE WHEN d.dead_at IS NULL THEN d.attempts ELSE 0 END,
       dead_at = NULL
RETURNING d.target, d.event_id, d.order_id
