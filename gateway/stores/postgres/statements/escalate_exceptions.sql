-- Escalate the open cases that are overdue, once each: they go to whom the class names. $2 and $3:
-- classes, and to whom they go (empty: the owner stays). Returns the id and the owner of each.
UPDATE exceptions e
   SET escalated_at = $1, owner = coalesce(nullif(t.escalate_to, ''), e.owner)
  FROM (
           SELECT id, kind FROM exceptions
            WHERE resolved_at IS NULL AND escalated_at IS NULL AND due_at <= $1
            ORDER BY due_at LIMIT $4
              FOR UPDATE SKIP LOCKED
       ) late
       LEFT JOIN unnest($2::text[], $3::text[]) AS t (kind, escalate_to) ON t.kind = late.kind
 WHERE e.id = late.id
RETURNING e.id, e.owner
