-- All steps of all plans, as they follow each other.
SELECT plan, target, word AS mode, reason, actor, from_at, until
  FROM planned
 ORDER BY plan, from_at, target
