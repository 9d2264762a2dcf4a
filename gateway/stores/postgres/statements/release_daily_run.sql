-- Give back a run that was not finished: another process may begin it at once.
UPDATE daily_runs SET held_until = now()
 WHERE task = $1 AND business_day = $2 AND holder = $3 AND finished_at IS NULL
