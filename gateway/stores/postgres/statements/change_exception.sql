-- Write back what a person can change of a locked case. One that is opened again has a new deadline.
UPDATE exceptions
   SET owner = $2, due_at = $3, resolved_at = $4, escalated_at = $5, relapses = $6, opened_at = $7
 WHERE id = $1
