-- The channel was told of these rules in this state; what changed meanwhile is told next.
UPDATE alerts a
   SET told_at = $4
  FROM unnest($2::text[], $3::text[]) AS t (rule, state)
 WHERE a.channel = $1 AND a.rule = t.rule AND a.state = t.state
