-- Count the parked rows of a filter, as in `list_parked.sql`, by reason, the most first.
SELECT p.reason, count(*) AS rows, min(p.received_at) AS oldest_at
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
 GROUP BY p.reason
 ORDER BY count(*) DESC, p.reason
