-- Whether messages of a month lie in the partition of no month: its own cannot be made then.
SELECT EXISTS (SELECT FROM raw_messages_other WHERE received_at >= $1 AND received_at < $2)
