-- The figures that alerts are about, of one moment. Counts stop at $1.
SELECT coalesce((SELECT extract(epoch FROM now() - created_at)::float8
                   FROM outbox ORDER BY position LIMIT 1), 0) AS outbox_oldest_s,
       (SELECT count(*) FROM (
            SELECT FROM deliveries WHERE dead_at IS NOT NULL LIMIT $1) t)::float8 AS dead_letters,
       (SELECT count(*) FROM targets WHERE disabled_at IS NOT NULL)::float8 AS disabled_targets,
       (SELECT count(*) FROM (
            SELECT FROM parked WHERE resolved_at IS NULL LIMIT $1) t)::float8 AS parked,
       (SELECT count(*) FROM (
            SELECT FROM exceptions WHERE resolved_at IS NULL AND due_at <= now() LIMIT $1) t
       )::float8 AS exceptions_overdue,
       (SELECT count(*) FROM (
            SELECT FROM refused_callbacks
             WHERE received_at > now() - interval '5 minutes' LIMIT $1) t
       )::float8 AS rejected_callbacks
