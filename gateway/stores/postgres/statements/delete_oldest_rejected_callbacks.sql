-- Delete the oldest refused callbacks beyond a number of rows, a bounded number at a time.
DELETE FROM refused_callbacks
 WHERE id = ANY (ARRAY(SELECT id FROM refused_callbacks ORDER BY id DESC OFFSET $1 LIMIT $2))
