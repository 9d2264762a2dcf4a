-- The names of the monthly partitions of a table, oldest first.
SELECT c.relname
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = $1::text::regclass AND c.relname ~ ('^' || $1 || '_\d{4}_\d{2}$')
 ORDER BY c.relname
