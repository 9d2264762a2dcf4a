-- Delete rejected callbacks from before a time, at most $2 at a time.
DELETE FROM refused_callbacks
 WHERE id = ANY (ARRAY(SELECT id FROM refused_callbacks WHERE received_at < $1 LIMIT $2))
