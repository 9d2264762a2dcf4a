-- What one person asked for on this target, locked; no row when it is too late to agree.
SELECT word, reason, actor, for_s
  FROM switches
 WHERE target = $1 AND is_asked AND until > now()
   FOR UPDATE
