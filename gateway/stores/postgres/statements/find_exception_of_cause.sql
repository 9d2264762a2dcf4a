-- The case of a cause.
SELECT id, kind, source, reason, detail, order_id, order_no, channel, owner, opened_at, due_at,
       escalated_at, resolved_at, relapses
  FROM exceptions WHERE source = $1 AND source_key = $2
