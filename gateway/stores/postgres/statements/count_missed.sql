-- How many orders each target ($1, with the time before which it was told, $2) has missed, and the
-- seconds since the oldest of them was told. As `list_missed.sql`.
SELECT a.target, count(*) AS orders, extract(epoch FROM now() - min(a.since))::float8 AS oldest_s
  FROM unnest($1::text[], $2::timestamptz[]) AS t (target, before)
  JOIN awaiting_acceptance a ON a.target = t.target AND a.since < t.before
  JOIN orders o ON o.id = a.order_id
 WHERE o.status = 'paid' AND (o.hold IS NULL OR o.hold <> ALL ($3::text[]))
   AND NOT coalesce(o.acceptances @> jsonb_build_array(jsonb_build_object('target', a.target)), false)
 GROUP BY a.target
