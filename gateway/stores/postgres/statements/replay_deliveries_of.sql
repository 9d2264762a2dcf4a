-- Make dead letters of a filter due again, as in `list_deliveries.sql`, in the order of the events,
-- $9 at most, with all their attempts before them. Returns how many of each target. What is due
-- already is no dead letter: a repeat finds nothing, and so does who replays at the same time.
WITH chosen AS MATERIALIZED (
    SELECT d.target, d.event_id
      FROM deliveries d
     WHERE ($1 = 'all' OR (d.dead_at IS NOT NULL) = ($1 = 'dead'))
       AND ($2::text IS NULL OR d.target = $2)
       AND ($3::text IS NULL OR d.topic = $3)
       AND ($4::text IS NULL OR strpos(d.reason, $4) > 0)
       AND ($5::uuid[] IS NULL OR d.order_id = ANY ($5))
       AND ($6::uuid[] IS NULL OR d.event_id = ANY ($6))
       AND ($7::timestamptz IS NULL OR d.occurred_at < $7)
       AND ($8::timestamptz IS NULL OR d.occurred_at >= $8)
       AND d.dead_at IS NOT NULL
     ORDER BY d.position, d.target
     LIMIT $9
       FOR UPDATE SKIP LOCKED
), replayed AS (
    UPDATE deliveries d
       SET dead_at = NULL, due_at = now(), attempts = 0, claimed_by = NULL
      FROM chosen c
     WHERE d.target = c.target AND d.event_id = c.event_id
    RETURNING d.target
)
SELECT target, count(*) AS deliveries FROM replayed GROUP BY target ORDER BY target
