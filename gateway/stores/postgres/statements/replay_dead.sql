-- Make dead letters due again, with all their attempts before them: those of target $1 (null: of
-- all) that are among the events $2 (null: any), of order $3 (null: any), dead before $4 (null: at
-- any time); $5 at most, the oldest first. Returns those that were.
--
-- One that is due already is none: a repeat finds nothing.
WITH chosen AS MATERIALIZED (
    SELECT target, event_id FROM deliveries
     WHERE dead_at IS NOT NULL
       AND ($1::text IS NULL OR target = $1)
       AND ($2::uuid[] IS NULL OR event_id = ANY ($2))
       AND ($3::uuid IS NULL OR order_id = $3)
       AND ($4::timestamptz IS NULL OR dead_at < $4)
     ORDER BY dead_at, target, event_id
     LIMIT $5
       FOR UPDATE SKIP LOCKED
)
UPDATE deliveries d
   SET dead_at = NULL, due_at = now(), attempts = 0, claimed_by = NULL
  FROM chosen c
 WHERE d.target = c.target AND d.event_id = c.event_id
RETURNING d.target, d.event_id, d.order_id
