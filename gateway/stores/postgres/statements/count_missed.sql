-- How many orders each target ($1, with the time before which it was told, $2) has missed, and the
-- seconds since the oldest of them was told. As `list_missed.sql`.
SELECT a.target, count(*) AS orders, extract(epoch FROM now() - min(a.since))::float8 AS oldest_s
  FROM unnest($1::text[], $2::timestamptz[]) AS t (target, before)
       CROSS JOIN LATERAL (
           SELECT q.order_id, q.target, q.since FROM awaiting_acceptance q
            WHERE q.target = t.target AND q.since < t.before
           OFFSET 0
       ) a
       CROSS JOIN LATERAL (
           SELECT q.status, q.hold, q.acceptances FROM orders q WHERE q.id = a.order_id OFFSET 0
       ) o
 WHERE o.status = 'paid' AND (o.hold IS NULL OR o.hold <> ALL ($3::text[]))
   AND NOT coalesce(
               o.acceptances @> jsonb_build_array(jsonb_build_object('target', a.target)), false
           )
 GROUP BY a.target
