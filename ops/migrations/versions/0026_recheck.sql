-- When an event that waits was tried once more, whatever had been tried before.
ALTER TABLE waiting ADD COLUMN rechecked_at timestamptz;

-- How far a task has followed the change feed.
CREATE TABLE cursors (
    name     text PRIMARY KEY,
    position bigint NOT NULL
);
