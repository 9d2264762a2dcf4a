-- Silence a rule on these channels until a time; null ends it.
INSERT INTO alerts AS a (channel, rule, state, value, changed_at, claimed_at, silenced_until)
SELECT channel, $2, 'resolved', 0, now(), now(), $3::timestamptz FROM unnest($1::text[]) AS t (channel)
    ON CONFLICT (channel, rule) DO UPDATE SET silenced_until = excluded.silenced_until
