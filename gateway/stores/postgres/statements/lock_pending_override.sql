-- What is pending approval on this target, locked; no row when it is too late to approve.
SELECT word AS action, reason, actor, for_s
  FROM switches
 WHERE target = $1 AND is_asked AND until > now()
   FOR UPDATE
