-- Set an override that was made elsewhere at $6 for $5 seconds from then, unless it has ended or
-- the target was changed since. Returns the target if it was set.
INSERT INTO switches AS s (target, is_asked, word, reason, actor, for_s, set_at, until)
SELECT $1, false, $2, $3, $4, $5, made.at, made.at + make_interval(secs => $5)
  FROM (SELECT least($6::timestamptz, now()) AS at) made
 WHERE made.at + make_interval(secs => $5) > now()
    ON CONFLICT (target, is_asked) DO UPDATE
   SET word = excluded.word, reason = excluded.reason, actor = excluded.actor, second = NULL,
       for_s = excluded.for_s, set_at = excluded.set_at, until = excluded.until
 WHERE s.set_at <= excluded.set_at
RETURNING target
