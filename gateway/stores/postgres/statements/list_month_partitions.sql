-- The names of the monthly partitions of raw messages, oldest first.
SELECT c.relname
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'raw_messages'::regclass AND c.relname ~ '^raw_messages_\d{4}_\d{2}$'
 ORDER BY c.relname
