-- Cases, the most urgent first. A filter that is null does not narrow. Run with a custom plan.
SELECT id, kind, source, reason, detail, order_id, order_no, channel, owner, opened_at, due_at,
       escalated_at, resolved_at, relapses
  FROM exceptions
 WHERE ($1::bool IS NULL OR (resolved_at IS NULL) = $1)
   AND ($2::text IS NULL OR kind = $2)
   AND ($3::text IS NULL OR owner = $3)
   AND ($4::text IS NULL OR order_no = $4)
   AND ($5::timestamptz IS NULL OR due_at <= $5)
   AND ($6::uuid IS NULL OR (due_at, id) > (SELECT l.due_at, l.id FROM exceptions l WHERE l.id = $6))
 ORDER BY due_at, id
 LIMIT $7
