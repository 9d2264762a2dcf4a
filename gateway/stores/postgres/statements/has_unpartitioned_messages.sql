-- Whether messages of a month are in the default partition: its own cannot be created then.
SELECT EXISTS (SELECT FROM raw_messages_other WHERE received_at >= $1 AND received_at < $2)
