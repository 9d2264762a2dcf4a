-- Delete old messages that no month was made for, a bounded number at a time.
DELETE FROM raw_messages_other
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM raw_messages_other WHERE received_at < $1 LIMIT $2))
