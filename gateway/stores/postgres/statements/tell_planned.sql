-- Remember of $1 steps at most that they began or ended, the oldest first; a row for each, with
-- what of it is new. Of two who do it at once one gets a step, and nobody waits: what another one
-- is busy with and does not commit is told by the next look.
WITH due AS (
    SELECT plan, target, from_at, begin_told_at IS NULL AS begins, until <= now() AS ends
      FROM planned
     WHERE (from_at <= now() AND begin_told_at IS NULL)
        OR (until <= now() AND end_told_at IS NULL)
     ORDER BY from_at, plan, target
     LIMIT $1
       FOR UPDATE SKIP LOCKED
)
UPDATE planned p
   SET begin_told_at = coalesce(p.begin_told_at, now()),
       end_told_at = CASE WHEN d.ends THEN now() END
  FROM due d
 WHERE (p.plan, p.target, p.from_at) = (d.plan, d.target, d.from_at)
RETURNING p.plan, p.target, p.word, p.reason, p.from_at, p.until, d.begins, d.ends
