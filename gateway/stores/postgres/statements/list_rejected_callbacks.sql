-- The newest rejected callbacks, without their content. Ids grow with time.
SELECT id, provider, account, reason, hint, received_at, bytes
  FROM refused_callbacks
 WHERE ($1::text IS NULL OR provider = $1)
   AND ($2::text IS NULL OR account = $2)
   AND ($3::text IS NULL OR reason = $3)
 ORDER BY id DESC
 LIMIT $4
