-- Remove the overrides that ended by themselves; a row for each. Of two at once one gets the rows.
DELETE FROM switches
 WHERE until <= now()
RETURNING target, word AS action, is_asked AS is_pending
