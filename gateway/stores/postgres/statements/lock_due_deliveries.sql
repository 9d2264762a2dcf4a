-- Lock up to $2 due deliveries of target $1: the more urgent first, then those due longest. Those
-- that another process looks at are passed over. None of a disabled target.
--
-- By priority: each is a range of the index, so that what is not due yet is not read.
SELECT d.event_id
  FROM generate_series(1, 9) AS p (priority)
       CROSS JOIN LATERAL (
           SELECT q.event_id
             FROM deliveries q
            WHERE q.target = $1 AND q.priority = p.priority::smallint AND q.dead_at IS NULL
              AND q.due_at <= now()
            ORDER BY q.due_at
            LIMIT $2
              FOR UPDATE SKIP LOCKED
       ) d
 WHERE NOT EXISTS (SELECT FROM targets t WHERE t.name = $1 AND t.disabled_at IS NOT NULL)
 LIMIT $2
