-- Set an override, or one pending approval ($5), in place of the one that was there.
INSERT INTO switches AS s (target, is_asked, word, reason, actor, second, for_s, set_at, until)
VALUES ($1, $5, $2, $3, $4, $6, $7, now(), now() + make_interval(secs => $8))
    ON CONFLICT (target, is_asked) DO UPDATE
   SET word = excluded.word, reason = excluded.reason, actor = excluded.actor,
       second = excluded.second, for_s = excluded.for_s, set_at = excluded.set_at,
       until = excluded.until
