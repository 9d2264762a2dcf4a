-- The journal of a case, oldest first.
SELECT id, at, actor, entry, note, message FROM exception_entries
 WHERE exception_id = $1 ORDER BY at, id
