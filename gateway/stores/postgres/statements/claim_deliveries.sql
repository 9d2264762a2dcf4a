-- Claim deliveries of target $1 that this transaction has locked (their events, with commas in
-- between: $2) for process $4, for $3 seconds. One that an earlier one of its order waits before is
-- not claimed. It is looked at again when that one is due; where that one is being attempted, in $5
-- seconds at most, should its end go unnoticed.
--
-- One that waits is no more urgent than what it waits for: else the same ones would be looked at
-- first again and again, and nothing ever delivered.
--
-- A statement of its own: it sees what was ended while the rows were locked. What ends after that
-- makes the next one due when this transaction is over, and not before.
WITH judged AS MATERIALIZED (
    SELECT u.event_id, e.due_at AS before_due_at, e.claimed_by AS before_claimed_by,
           e.priority AS before_priority
      FROM deliveries u
           LEFT JOIN LATERAL (
               SELECT q.due_at, q.claimed_by, q.priority FROM deliveries q
                WHERE q.target = $1 AND q.order_id = u.order_id AND q.dead_at IS NULL
                  AND q.position < u.position
                ORDER BY q.position
                LIMIT 1
           ) e ON true
     WHERE u.target = $1 AND u.event_id = ANY (string_to_array($2, ',')::uuid[])
)
UPDATE deliveries d
   SET due_at = CASE WHEN j.before_due_at IS NULL THEN now() + $3 * interval '1 second'
                     WHEN j.before_claimed_by IS NULL
                     THEN greatest(j.before_due_at, now() + interval '1 second')
                     ELSE least(
                              greatest(j.before_due_at, now() + interval '1 second'),
                              now() + $5 * interval '1 second'
                          )
                END,
       claimed_by = CASE WHEN j.before_due_at IS NULL THEN $4::uuid END,
       priority = greatest(d.priority, j.before_priority)
  FROM judged j
 WHERE d.target = $1 AND d.event_id = j.event_id
   AND d.event_id = ANY (string_to_array($2, ',')::uuid[])
RETURNING d.event_id, d.order_id, d.version, d.topic, d.occurred_at, d.attempts, d.priority,
          j.before_due_at IS NULL AS is_claimed
