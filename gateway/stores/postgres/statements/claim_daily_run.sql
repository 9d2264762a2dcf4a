-- Claim the run of a task ($1) for a business day ($2) for $4 seconds, for process $3: a new one, or
-- one whose claim is over before it was finished; with $5 also one that was finished. Returns true
-- where it is ours.
INSERT INTO daily_runs AS r (task, business_day, started_at, holder, held_until)
VALUES ($1, $2, now(), $3, now() + make_interval(secs => $4))
    ON CONFLICT (task, business_day) DO UPDATE
   SET started_at = now(), holder = excluded.holder, held_until = excluded.held_until,
       finished_at = NULL, progress = NULL
 WHERE (r.finished_at IS NULL AND r.held_until < now()) OR ($5 AND r.finished_at IS NOT NULL)
RETURNING true
