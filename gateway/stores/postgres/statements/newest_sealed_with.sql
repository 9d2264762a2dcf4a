-- The newest rows of each table that were sealed with one key. Its id is in bytes 2 and 3 of an
-- envelope, and no index has it: where there are none, the tables are read whole.
(SELECT 'orders.private' AS place, id, private AS envelope, country, phone_index
   FROM orders WHERE substring(private FROM 2 FOR 2) = $1 ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'raw_messages.body', id, body, NULL, NULL
   FROM raw_messages WHERE substring(body FROM 2 FOR 2) = $1 ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'refused_callbacks.message', id, message, NULL, NULL
   FROM refused_callbacks WHERE substring(message FROM 2 FOR 2) = $1 ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'address_changes.change', id, change, NULL, NULL
   FROM address_changes WHERE substring(change FROM 2 FOR 2) = $1 ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'approvals.body', id, body, NULL, NULL
   FROM approvals WHERE substring(body FROM 2 FOR 2) = $1 ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'parked.body', id, body, NULL, NULL
   FROM parked WHERE substring(body FROM 2 FOR 2) = $1 ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'exception_entries.message', id, message, NULL, NULL
   FROM exception_entries WHERE substring(message FROM 2 FOR 2) = $1 ORDER BY id DESC LIMIT 5)
