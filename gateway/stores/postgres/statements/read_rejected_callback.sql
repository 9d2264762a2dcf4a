-- One rejected callback with its sealed content.
SELECT id, provider, account, reason, hint, received_at, bytes, message
  FROM refused_callbacks
 WHERE id = $1
