-- Write what a second person decided. The row is locked.
UPDATE approvals
   SET state = $2, decided_by = $3, decided_at = $4, decision_reason = $5
 WHERE id = $1
