-- Drop a plan, and whatever was over a week ago; a row for each step of the plan.
WITH old AS (
    DELETE FROM planned WHERE until < now() - interval '7 days' AND plan <> $1
)
DELETE FROM planned WHERE plan = $1 RETURNING target
