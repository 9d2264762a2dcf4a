-- The times of all open cases, and of those resolved at or after $1.
SELECT kind, opened_at, due_at, resolved_at, relapses FROM exceptions WHERE resolved_at IS NULL
UNION ALL
SELECT kind, opened_at, due_at, resolved_at, relapses FROM exceptions WHERE resolved_at >= $1
