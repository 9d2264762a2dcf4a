-- Deliveries of a filter, the oldest first, those behind the place ($9, $10, $11); null does not
-- narrow.
SELECT d.target, d.event_id, d.order_id, coalesce(o.order_no, '') AS order_no,
       coalesce(o.channel, '') AS channel, d.topic, d.version, d.attempts, d.occurred_at, d.due_at,
       d.dead_at, coalesce(d.reason, '') AS reason
  FROM deliveries d
       LEFT JOIN orders o ON o.id = d.order_id
 WHERE ($1 = 'all' OR (d.dead_at IS NOT NULL) = ($1 = 'dead'))
   AND ($2::text IS NULL OR d.target = $2)
   AND ($3::text IS NULL OR d.topic = $3)
   AND ($4::text IS NULL OR strpos(d.reason, $4) > 0)
   AND ($5::uuid[] IS NULL OR d.order_id = ANY ($5))
   AND ($6::uuid[] IS NULL OR d.event_id = ANY ($6))
   AND ($7::timestamptz IS NULL OR d.occurred_at < $7)
   AND ($8::timestamptz IS NULL OR d.occurred_at >= $8)
   AND (
           $9::timestamptz IS NULL
           OR (d.occurred_at, d.target, d.event_id) > ($9, $10::text, $11::uuid)
       )
 ORDER BY d.occurred_at, d.target, d.event_id
 LIMIT $12
