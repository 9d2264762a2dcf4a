-- All steps of all plans, in order.
SELECT plan, target, word AS action, reason, actor, from_at, until
  FROM planned
 ORDER BY plan, from_at, target
