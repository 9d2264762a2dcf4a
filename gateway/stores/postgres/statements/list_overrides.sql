-- All overrides, those that ended too, with the seconds that each has left by the database's clock;
-- the steps of plans that begin within a day, so that they begin without the database as well; and
-- those that are over but not audited yet. `is_due`: something began or ended by itself and has no
-- audit row yet.
SELECT target, word AS action, reason, actor,
       extract(epoch FROM until - now())::double precision AS left_s,
       second AS approved_by, is_asked AS is_pending,
       NULL AS plan, 0::double precision AS starts_s, until <= now() AS is_due
  FROM switches
 UNION ALL
SELECT target, word, reason, actor,
       extract(epoch FROM until - now())::double precision, NULL, false,
       plan, greatest(0, extract(epoch FROM from_at - now()))::double precision,
       (from_at <= now() AND begin_told_at IS NULL) OR until <= now()
  FROM planned
 WHERE (until > now() OR end_told_at IS NULL) AND from_at < now() + interval '1 day'
 ORDER BY target, is_pending, plan NULLS FIRST, starts_s
