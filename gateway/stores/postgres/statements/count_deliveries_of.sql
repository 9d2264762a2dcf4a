-- Count the deliveries of a filter, as in `list_deliveries.sql`, by target.
SELECT d.target, count(*) AS deliveries
  FROM deliveries d
 WHERE ($1 = 'all' OR (d.dead_at IS NOT NULL) = ($1 = 'dead'))
   AND ($2::text IS NULL OR d.target = $2)
   AND ($3::text IS NULL OR d.topic = $3)
   AND ($4::text IS NULL OR strpos(d.reason, $4) > 0)
   AND ($5::uuid[] IS NULL OR d.order_id = ANY ($5))
   AND ($6::uuid[] IS NULL OR d.event_id = ANY ($6))
   AND ($7::timestamptz IS NULL OR d.occurred_at < $7)
   AND ($8::timestamptz IS NULL OR d.occurred_at >= $8)
 GROUP BY d.target
 ORDER BY d.target
