-- Missed orders, those that wait longest first: paid, on no hold ($3) that stops the hand-off, and
-- not accepted by a target ($1) that was told before its time ($2), with what is known of telling
-- it. `domain.missed.awaits` says the same of one order. Null filters do not narrow: channels ($4),
-- orders ($5). After the row ($6, $7, $8) of the page before. $10: leave out what is due already, or
-- is being attempted. OFFSET 0: see `lock_orders.sql`.
SELECT a.order_id, a.target, a.event_id, a.since, o.channel, o.order_no, o.is_test, o.version,
       o.paid_at,
       CASE WHEN d.dead_at IS NOT NULL THEN 'dead letter'
            WHEN d.event_id IS NOT NULL THEN 'pending'
            WHEN l.outcome IS NULL THEN 'not tried'
            WHEN l.outcome = 'failed' THEN 'dead letter'
            ELSE l.outcome
       END AS standing,
       coalesce(d.attempts, 0) AS attempts, l.started_at AS last_attempt_at,
       l.status_code AS last_status_code,
       coalesce(nullif(l.reason, ''), d.reason, '') AS last_reason,
       EXISTS (
           SELECT FROM targets g WHERE g.name = a.target AND g.disabled_at IS NOT NULL
       ) AS is_disabled
  FROM unnest($1::text[], $2::timestamptz[]) AS t (target, before)
       CROSS JOIN LATERAL (
           SELECT q.order_id, q.target, q.event_id, q.since FROM awaiting_acceptance q
            WHERE q.target = t.target AND q.since < t.before
              AND ($6::timestamptz IS NULL OR q.since >= $6)
           OFFSET 0
       ) a
       CROSS JOIN LATERAL (SELECT * FROM orders q WHERE q.id = a.order_id OFFSET 0) o
       LEFT JOIN deliveries d ON d.target = a.target AND d.event_id = a.event_id
       LEFT JOIN LATERAL (
           SELECT q.outcome, q.started_at, q.status_code, q.reason
             FROM delivery_attempts q
            WHERE q.order_id = a.order_id AND q.target = a.target AND q.event_id = a.event_id
            ORDER BY q.started_at DESC
            LIMIT 1
       ) l ON true
 WHERE o.status = 'paid' AND (o.hold IS NULL OR o.hold <> ALL ($3::text[]))
   AND NOT coalesce(
               o.acceptances @> jsonb_build_array(jsonb_build_object('target', a.target)), false
           )
   AND ($4::text[] IS NULL OR o.channel = ANY ($4))
   AND ($5::uuid[] IS NULL OR o.id = ANY ($5))
   AND ($6::timestamptz IS NULL OR (a.since, a.order_id, a.target) > ($6, $7::uuid, $8::text))
   AND (
           NOT $10 OR d.event_id IS NULL OR d.dead_at IS NOT NULL
        OR (d.due_at > now() AND d.claimed_by IS NULL)
       )
 ORDER BY a.since, a.order_id, a.target
 LIMIT $9
