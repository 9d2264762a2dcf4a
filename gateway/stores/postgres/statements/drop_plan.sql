-- Remove a plan, and every step that ended more than a week ago and is audited; a row for each step
-- of the plan, with what of it began or ended but is not audited yet.
WITH old AS (
    DELETE FROM planned
     WHERE until < now() - interval '7 days' AND end_told_at IS NOT NULL AND plan <> $1
)
DELETE FROM planned
 WHERE plan = $1
RETURNING plan, target, word AS action, reason, from_at, until, begin_told_at AS begin_audited_at,
          from_at <= now() OR begin_told_at IS NOT NULL AS is_begun,
          until <= now() OR end_told_at IS NOT NULL AS is_over,
          from_at <= now() AND begin_told_at IS NULL AS begins,
          until <= now() AND end_told_at IS NULL AS ends
