-- Delete old rows from the default partition of a table, at most $2 at a time. The caller formats
-- names of a closed list into it.
DELETE FROM {table}_other
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table}_other WHERE {column} < $1 LIMIT $2))
