-- Forget a target, unless a worker had it in its settings within $2 seconds. Returns whether it was.
DELETE FROM targets
 WHERE name = $1 AND (known_at IS NULL OR known_at < now() - $2 * interval '1 second')
RETURNING true
