-- Write what became of an approved action, once.
UPDATE approvals
   SET state = $2, decision_reason = coalesce($3, decision_reason)
 WHERE id = $1 AND state = 'approved'
