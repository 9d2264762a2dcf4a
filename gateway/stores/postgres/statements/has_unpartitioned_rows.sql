-- Whether rows of a month are in the default partition of a table: its own cannot be created then.
-- The caller formats names of a closed list into it.
SELECT EXISTS (SELECT FROM {table}_other WHERE {column} >= $1 AND {column} < $2)
