-- One rejected callback with its sealed content.
SELECT provider, account, reason, hint, received_at, message FROM refused_callbacks WHERE id = $1
