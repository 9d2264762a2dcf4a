-- Count what waits for each target that was ever seen and what is dead of it, with the age of the
-- oldest in seconds and whether the target is disabled.
SELECT t.name, t.disabled_at IS NOT NULL AS is_disabled, w.pending, w.pending_oldest_s, x.dead
  FROM targets t
       CROSS JOIN LATERAL (
           SELECT count(*) AS pending,
                  coalesce(extract(epoch FROM now() - min(d.occurred_at)), 0)::float8
                      AS pending_oldest_s
             FROM deliveries d WHERE d.target = t.name AND d.dead_at IS NULL
       ) w
       CROSS JOIN LATERAL (
           SELECT count(*) AS dead
             FROM deliveries d WHERE d.target = t.name AND d.dead_at IS NOT NULL
       ) x
 ORDER BY t.name
