-- Delete refused callbacks from before a time, a bounded number at a time.
DELETE FROM refused_callbacks
 WHERE id = ANY (ARRAY(SELECT id FROM refused_callbacks WHERE received_at < $1 LIMIT $2))
