-- Parked rows of a filter, the oldest first, those after the row $10; null does not narrow. Rows
-- that earlier versions wrote have no account and no numbers of their own.
SELECT p.id, p.reason, coalesce(p.detail, '') AS detail,
       coalesce(nullif(p.account, ''), p.source) AS source,
       coalesce(nullif(p.order_no, ''), o.order_no, '') AS order_no, p.transaction_no, p.order_id,
       p.received_at, p.assignee, p.resolved_at, p.resolved_by, p.resolution, p.replays,
       p.replayed_at
  FROM parked p
       LEFT JOIN orders o ON o.id = p.order_id
 WHERE ($1 = 'all' OR (p.resolved_at IS NULL) = ($1 = 'open'))
   AND ($2::text IS NULL OR p.reason = $2)
   AND (
           $3::text IS NULL OR coalesce(nullif(p.account, ''), p.source) = $3
           OR starts_with(coalesce(nullif(p.account, ''), p.source), $3 || ':')
       )
   AND (
           $4::text IS NULL OR $4 IN (p.order_no, o.order_no, p.transaction_no)
           OR p.order_id = $5::uuid
       )
   AND ($6::text IS NULL OR coalesce(p.assignee, '') = $6)
   AND ($7::timestamptz IS NULL OR p.received_at < $7)
   AND ($8::timestamptz IS NULL OR p.received_at >= $8)
   AND ($9::uuid[] IS NULL OR p.id = ANY ($9))
   AND (
           $10::uuid IS NULL
           OR (p.received_at, p.id) > (SELECT q.received_at, q.id FROM parked q WHERE q.id = $10)
       )
 ORDER BY p.received_at, p.id
 LIMIT $11
