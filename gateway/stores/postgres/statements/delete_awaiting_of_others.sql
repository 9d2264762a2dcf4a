-- Forget what waits for targets that accept no orders any more: those that are not among $1. Only
-- what is older than $2 seconds: a worker with newer settings may know them. The targets are read
-- one by one from the index: there are few, and many rows of each.
WITH RECURSIVE known AS (
    (SELECT target FROM awaiting_acceptance ORDER BY target LIMIT 1)
    UNION ALL
    SELECT (
               SELECT a.target FROM awaiting_acceptance a
                WHERE a.target > k.target ORDER BY a.target LIMIT 1
           )
      FROM known k
     WHERE k.target IS NOT NULL
), others AS (
    SELECT a.order_id, a.target
      FROM known k
           CROSS JOIN LATERAL (
               SELECT q.order_id, q.target FROM awaiting_acceptance q
                WHERE q.target = k.target AND q.since < now() - make_interval(secs => $2)
                LIMIT $3
           ) a
     WHERE k.target <> ALL ($1::text[])
     LIMIT $3
)
DELETE FROM awaiting_acceptance w
 USING others o
 WHERE w.order_id = o.order_id AND w.target = o.target
