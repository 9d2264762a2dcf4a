-- Delete the oldest rejected callbacks beyond $1 rows, at most $2 at a time.
DELETE FROM refused_callbacks
 WHERE id = ANY (ARRAY(SELECT id FROM refused_callbacks ORDER BY id DESC OFFSET $1 LIMIT $2))
