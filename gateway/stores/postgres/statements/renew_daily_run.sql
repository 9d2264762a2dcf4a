-- Hold on to a run for $4 more seconds, and say how far it is. Returns true while it is ours.
UPDATE daily_runs
   SET held_until = now() + make_interval(secs => $4), progress = $5::jsonb
 WHERE task = $1 AND business_day = $2 AND holder = $3 AND finished_at IS NULL
RETURNING true
