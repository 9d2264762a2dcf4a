-- Those of these events that still wait.
SELECT id FROM waiting WHERE id = ANY ($1::uuid[])
