-- Claim the messages of one channel that are to be sent now: of rules whose state is another than
-- the one that the channel was told, of claims that nobody finished, and of rules that fire for so
-- long that the channel is told again. A rule that never fired is not resolved, and none is that some
-- worker has said to fire within $8 seconds: what each sees of its own may differ.
--
-- Returns every rule with its state as it is stored, whether it was claimed, and whether the channel
-- has been told of this state.
WITH input AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::float8[]) AS t (rule, state, value)
), claimed AS (
    INSERT INTO alerts AS a (channel, rule, state, value, changed_at, claimed_at, firing_at)
    SELECT $1, i.rule, i.state, i.value, $5::timestamptz, $5,
           CASE WHEN i.state = 'firing' THEN $5 END
      FROM input i
     WHERE i.state = 'firing'
        OR EXISTS (SELECT FROM alerts e WHERE e.channel = $1 AND e.rule = i.rule)
     ORDER BY i.rule
        ON CONFLICT (channel, rule) DO UPDATE
       SET state = excluded.state, value = excluded.value, claimed_at = $5,
           firing_at = coalesce(excluded.firing_at, a.firing_at),
           changed_at = CASE WHEN a.state = excluded.state THEN a.changed_at ELSE $5 END,
           told_at = CASE WHEN a.state = excluded.state THEN a.told_at END
     WHERE (a.silenced_until IS NULL OR a.silenced_until <= $5)
       AND (
               excluded.state = 'firing' OR a.firing_at IS NULL
            OR a.firing_at < $5 - make_interval(secs => $8)
           )
       AND (
               a.state <> excluded.state
            OR (a.told_at IS NULL AND a.claimed_at < $5 - make_interval(secs => $6))
            OR (excluded.state = 'firing' AND a.told_at < $5 - make_interval(secs => $7))
           )
    RETURNING a.rule, a.state, a.changed_at
)
SELECT c.rule, c.state, c.changed_at, true AS is_claimed, false AS is_told FROM claimed c
UNION ALL
SELECT a.rule, a.state, a.changed_at, false, a.told_at IS NOT NULL
  FROM alerts a JOIN input i ON i.rule = a.rule
 WHERE a.channel = $1 AND NOT EXISTS (SELECT FROM claimed c WHERE c.rule = a.rule)
