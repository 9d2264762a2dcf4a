-- What was sealed last and first, five rows of each table and end: they show which keys sealed.
-- With what else tells whether the blind index key is the right one.
(SELECT 'orders.private' AS place, id, private AS envelope, country, phone_index
   FROM orders ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'orders.private', id, private, country, phone_index FROM orders ORDER BY id LIMIT 5)
UNION ALL
(SELECT 'raw_messages.body', id, body, NULL, NULL FROM raw_messages ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'raw_messages.body', id, body, NULL, NULL FROM raw_messages ORDER BY id LIMIT 5)
UNION ALL
(SELECT 'refused_callbacks.message', id, message, NULL, NULL
   FROM refused_callbacks ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'refused_callbacks.message', id, message, NULL, NULL
   FROM refused_callbacks ORDER BY id LIMIT 5)
UNION ALL
(SELECT 'address_changes.change', id, change, NULL, NULL
   FROM address_changes ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'address_changes.change', id, change, NULL, NULL
   FROM address_changes ORDER BY id LIMIT 5)
UNION ALL
(SELECT 'approvals.body', id, body, NULL, NULL
   FROM approvals ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'approvals.body', id, body, NULL, NULL
   FROM approvals ORDER BY id LIMIT 5)
UNION ALL
(SELECT 'parked.body', id, body, NULL, NULL
   FROM parked WHERE body IS NOT NULL ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'parked.body', id, body, NULL, NULL
   FROM parked WHERE body IS NOT NULL ORDER BY id LIMIT 5)
UNION ALL
(SELECT 'exception_entries.message', id, message, NULL, NULL
   FROM exception_entries WHERE message IS NOT NULL ORDER BY id DESC LIMIT 5)
UNION ALL
(SELECT 'exception_entries.message', id, message, NULL, NULL
   FROM exception_entries WHERE message IS NOT NULL ORDER BY id LIMIT 5)
