-- The runs of a task, the last business day first; of one day, where $2 is given.
SELECT business_day, started_at, finished_at, held_until, progress, result
  FROM daily_runs
 WHERE task = $1 AND ($2::date IS NULL OR business_day = $2)
 ORDER BY business_day DESC
 LIMIT $3
