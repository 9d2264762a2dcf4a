-- Have targets ($2) told once more that orders ($1) are paid, by the same event: what is a dead
-- letter or was delivered is due now, as if it had never been tried; what is pending is due now.
-- What a worker attempts at this moment is left to it, and so is what no longer waits. A target that
-- is disabled is left alone. Behind what else the target is told of the order: a position of its own.
-- Returns what is due now.
INSERT INTO deliveries AS d (
    target, event_id, position, order_id, version, topic, priority, occurred_at, due_at
)
SELECT a.target, a.event_id, nextval('outbox_position_seq'), a.order_id, a.version, 'order.paid', 1, a.since, now()
  FROM unnest($1::uuid[], $2::text[]) AS i (order_id, target)
       CROSS JOIN LATERAL (
           SELECT * FROM awaiting_acceptance q
            WHERE q.order_id = i.order_id AND q.target = i.target
           OFFSET 0
       ) a
 WHERE NOT EXISTS (
           SELECT FROM targets t WHERE t.name = i.target AND t.disabled_at IS NOT NULL
       )
    ON CONFLICT (target, event_id) DO UPDATE
   SET due_at = least(d.due_at, now()), dead_at = NULL,
       attempts = CASE WHEN d.dead_at IS NULL THEN d.attempts ELSE 0 END
 WHERE d.claimed_by IS NULL OR d.dead_at IS NOT NULL OR d.due_at < now()
RETURNING d.order_id, d.target
