-- What every channel was told last of each rule.
SELECT channel, rule, state, value, changed_at, told_at, silenced_until
  FROM alerts ORDER BY rule, channel
