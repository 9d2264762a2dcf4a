-- Write what targets said by their answer, of orders that the caller has locked: each order ($1)
-- with its last version, when it was first accepted, and by whom; each word ($5 on) with its history
-- and its outbox row. As an event of the same kind comes to in `write_follow_ups.sql`.
WITH history AS (
    INSERT INTO order_events (
        id, order_id, source, source_key, action, from_status, to_status, outcome, detail, trigger,
        occurred_at, received_at
    )
    SELECT history_id, order_id, 'target:' || target, event_id::text, 'accepted', status, status,
           'applied', 'by ' || target, 'answer:' || target, answered_at, now()
      FROM unnest(
               $5::uuid[], $7::text[], $8::text[], $9::uuid[], $10::timestamptz[], $11::uuid[]
           ) AS w (order_id, status, target, event_id, answered_at, history_id)
     ORDER BY 3, 4
        ON CONFLICT (source, source_key) DO NOTHING
), staged AS (
    INSERT INTO outbox (id, order_id, version, topic, priority, created_at)
    SELECT outbox_id, order_id, version, 'order.accepted', 5, now()
      FROM unnest($5::uuid[], $6::int[], $12::uuid[]) AS w (order_id, version, outbox_id)
     ORDER BY order_id, version
)
UPDATE orders o
   SET version = c.version, accepted_at = c.accepted_at, acceptances = c.acceptances::jsonb,
       updated_at = now()
  FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::text[])
       AS c (id, version, accepted_at, acceptances)
 WHERE o.id = c.id AND o.id = ANY ($1)
