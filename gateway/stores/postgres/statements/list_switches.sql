-- All modes, those that ended too, with the seconds that each has left by the database's clock.
SELECT target, word, reason, actor,
       extract(epoch FROM until - now())::double precision AS left_s, second, is_asked
  FROM switches
 ORDER BY target, is_asked
