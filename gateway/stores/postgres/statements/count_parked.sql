-- Count what waits for a person, by reason and by the provider that reported it (empty: none did),
-- with the age of the oldest in seconds. It reads the index of the open rows only; at most $1 groups,
-- those with the most rows. $2: the providers that there are.
SELECT p.reason, coalesce(k.provider, '') AS provider, count(*) AS rows,
       extract(epoch FROM now() - min(p.received_at))::float8 AS oldest_s
  FROM parked p
       LEFT JOIN unnest($2::text[]) k(provider)
              ON k.provider = split_part(coalesce(nullif(p.account, ''), p.source), ':', 1)
 WHERE p.resolved_at IS NULL
 GROUP BY 1, 2
 ORDER BY count(*) DESC, 1, 2
 LIMIT $1
