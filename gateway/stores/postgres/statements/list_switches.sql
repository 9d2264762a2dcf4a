-- All modes, those that ended too, with the seconds that each has left by the database's clock;
-- and the steps of plans that begin within a day, so that they begin without the database as well.
SELECT target, word, reason, actor,
       extract(epoch FROM until - now())::double precision AS left_s, second, is_asked,
       NULL AS plan, 0::double precision AS starts_s
  FROM switches
 UNION ALL
SELECT target, word, reason, actor,
       extract(epoch FROM until - now())::double precision, NULL, false,
       plan, greatest(0, extract(epoch FROM from_at - now()))::double precision
  FROM planned
 WHERE until > now() AND from_at < now() + interval '1 day'
 ORDER BY target, is_asked, plan NULLS FIRST, starts_s
