-- A cursor that is not there begins at the end of the change feed.
INSERT INTO cursors (name, position)
SELECT $1, coalesce((SELECT position FROM order_changes ORDER BY position DESC LIMIT 1), 0)
    ON CONFLICT (name) DO NOTHING
