-- Claim up to $2 due deliveries of target $1 for process $4, for $3 seconds: the more urgent first,
-- then those due longest. One that an earlier one of its order waits before is not claimed, and is
-- looked at again when that one is, in $5 seconds at the earliest. None of a disabled target.
--
-- By priority, so that what is not due yet is not read, and OFFSET-free: each is an index's range.
WITH due AS MATERIALIZED (
    SELECT d.event_id, d.order_id, d.position
      FROM generate_series(1, 9) AS p (priority)
           CROSS JOIN LATERAL (
               SELECT q.event_id, q.order_id, q.position
                 FROM deliveries q
                WHERE q.target = $1 AND q.priority = p.priority::smallint AND q.dead_at IS NULL
                  AND q.due_at <= now()
                ORDER BY q.due_at
                LIMIT $2
                  FOR UPDATE SKIP LOCKED
           ) d
     WHERE NOT EXISTS (SELECT FROM targets t WHERE t.name = $1 AND t.disabled_at IS NOT NULL)
     LIMIT $2
), judged AS MATERIALIZED (
    SELECT u.event_id,
           (
               SELECT e.due_at FROM deliveries e
                WHERE e.target = $1 AND e.order_id = u.order_id AND e.dead_at IS NULL
                  AND e.position < u.position
                ORDER BY e.position
                LIMIT 1
           ) AS before_due_at
      FROM due u
)
UPDATE deliveries d
   SET due_at = CASE WHEN j.before_due_at IS NULL
                     THEN now() + $3 * interval '1 second'
                     ELSE greatest(j.before_due_at, now() + $5 * interval '1 second')
                END,
       claimed_by = CASE WHEN j.before_due_at IS NULL THEN $4::uuid END
  FROM judged j
       -- The array: by index also in a generic plan that was made while the table was empty.
 WHERE d.target = $1 AND d.event_id = j.event_id
   AND d.event_id = ANY (ARRAY(SELECT event_id FROM due))
RETURNING d.event_id, d.order_id, d.version, d.topic, d.occurred_at, d.attempts, d.priority,
          j.before_due_at IS NULL AS is_claimed
