-- Count what waits for a person, by reason, with the age of the oldest in seconds. It reads the
-- index of the open rows only; at most $1 reasons, those with the most rows.
SELECT reason, count(*) AS rows, extract(epoch FROM now() - min(received_at))::float8 AS oldest_s
  FROM parked
 WHERE resolved_at IS NULL
 GROUP BY reason
 ORDER BY count(*) DESC, reason
 LIMIT $1
