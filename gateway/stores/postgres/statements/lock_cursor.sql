-- Lock a cursor; nothing, where another process has it.
SELECT position FROM cursors WHERE name = $1 FOR UPDATE SKIP LOCKED
