-- Remove the override of a target, and the one pending approval; a row for each.
DELETE FROM switches
 WHERE target = $1
RETURNING word AS action, is_asked AS is_pending
