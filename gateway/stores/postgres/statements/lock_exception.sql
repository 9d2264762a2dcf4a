-- One case, locked until the transaction ends.
SELECT id, kind, source, reason, detail, order_id, order_no, channel, owner, opened_at, due_at,
       escalated_at, resolved_at, relapses
  FROM exceptions WHERE id = $1 FOR UPDATE
