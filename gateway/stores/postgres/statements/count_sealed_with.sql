-- How many rows of each table were sealed with one key, and not more than $2 of each.
SELECT (SELECT count(*) FROM (
            SELECT FROM orders WHERE substring(private FROM 2 FOR 2) = $1 LIMIT $2) t
       ) AS orders,
       (SELECT count(*) FROM (
            SELECT FROM raw_messages WHERE substring(body FROM 2 FOR 2) = $1 LIMIT $2) t
       ) AS raw_messages,
       (SELECT count(*) FROM (
            SELECT FROM refused_callbacks WHERE substring(message FROM 2 FOR 2) = $1 LIMIT $2) t
       ) AS refused_callbacks,
       (SELECT count(*) FROM (
            SELECT FROM address_changes WHERE substring(change FROM 2 FOR 2) = $1 LIMIT $2) t
       ) AS address_changes,
       (SELECT count(*) FROM (
            SELECT FROM approvals WHERE substring(body FROM 2 FOR 2) = $1 LIMIT $2) t
       ) AS approvals,
       (SELECT count(*) FROM (
            SELECT FROM parked WHERE substring(body FROM 2 FOR 2) = $1 LIMIT $2) t
       ) AS parked,
       (SELECT count(*) FROM (
            SELECT FROM exception_entries WHERE substring(message FROM 2 FOR 2) = $1 LIMIT $2) t
       ) AS exception_entries
