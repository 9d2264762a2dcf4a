-- Remove the overrides of a target set before $2; a row for each.
DELETE FROM switches
 WHERE target = $1 AND set_at <= $2
RETURNING word AS action, is_asked AS is_pending
