-- Open cases by class: how many, and how many of them are overdue at $1.
SELECT kind, count(*) AS open, count(*) FILTER (WHERE due_at <= $1) AS overdue
  FROM exceptions WHERE resolved_at IS NULL GROUP BY kind
