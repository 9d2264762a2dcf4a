-- Move a cursor that is locked.
UPDATE cursors SET position = $2 WHERE name = $1
