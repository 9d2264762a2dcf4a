-- Delete old messages from the default partition, at most $2 at a time.
DELETE FROM raw_messages_other
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM raw_messages_other WHERE received_at < $1 LIMIT $2))
