-- End a run with its result. Returns true where it was ours.
UPDATE daily_runs
   SET finished_at = now(), held_until = now(), result = $4::jsonb, progress = NULL
 WHERE task = $1 AND business_day = $2 AND holder = $3 AND finished_at IS NULL
RETURNING true
