-- Give back deliveries of target $1 that process $2 claimed and did not attempt.
UPDATE deliveries SET due_at = now(), claimed_by = NULL
 WHERE target = $1 AND claimed_by = $2 AND event_id = ANY ($3) AND dead_at IS NULL
