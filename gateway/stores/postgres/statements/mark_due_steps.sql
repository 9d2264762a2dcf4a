-- Mark at most $1 steps that began or ended as audited, the oldest first; a row for each, with what
-- of it is new. Of two at once one gets a step, and neither waits: what another transaction has
-- locked and does not commit is marked by the next call.
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
RETURNING p.plan, p.target, p.word AS action, p.reason, p.from_at, p.until, d.begins, d.ends
