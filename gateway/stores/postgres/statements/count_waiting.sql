-- Count the events that wait for their order, or for what must come before them, by provider, with
-- the age of the oldest in seconds; at most $1 providers, those with the most.
SELECT provider, count(*) AS rows, extract(epoch FROM now() - min(received_at))::float8 AS oldest_s
  FROM waiting
 GROUP BY provider
 ORDER BY count(*) DESC, provider
 LIMIT $1
