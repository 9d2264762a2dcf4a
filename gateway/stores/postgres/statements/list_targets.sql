-- The targets that were ever seen in the settings, with what waits for each and what is dead of it.
SELECT t.name, t.first_seen_at, t.disabled_at, t.disabled_reason, w.pending, w.pending_oldest_at,
       x.dead, x.dead_oldest_at
  FROM targets t
       CROSS JOIN LATERAL (
           SELECT count(*) AS pending, min(d.occurred_at) AS pending_oldest_at
             FROM deliveries d WHERE d.target = t.name AND d.dead_at IS NULL
       ) w
       CROSS JOIN LATERAL (
           SELECT count(*) AS dead, min(d.occurred_at) AS dead_oldest_at
             FROM deliveries d WHERE d.target = t.name AND d.dead_at IS NOT NULL
       ) x
 ORDER BY t.name
