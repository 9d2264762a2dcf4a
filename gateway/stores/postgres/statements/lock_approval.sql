-- Lock an approval of these channels (null: of any), to decide about it.
SELECT * FROM approvals WHERE id = $1 AND ($2::text[] IS NULL OR channel = ANY ($2)) FOR UPDATE
