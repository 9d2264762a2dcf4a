-- Dead letters, those longest dead first, a page after ($3, $4, $5).
SELECT d.target, d.event_id, d.order_id, o.order_no, o.channel, d.topic, d.version, d.attempts,
       d.occurred_at, d.dead_at, d.reason
  FROM deliveries d
       LEFT JOIN orders o ON o.id = d.order_id
 WHERE d.dead_at IS NOT NULL
   AND ($1::text IS NULL OR d.target = $1)
   AND ($2::uuid IS NULL OR d.order_id = $2)
   AND ($3::timestamptz IS NULL OR (d.dead_at, d.target, d.event_id) > ($3, $4::text, $5::uuid))
 ORDER BY d.dead_at, d.target, d.event_id
 LIMIT $6
