-- Note targets that were not seen before: they are told of what is staged from now on. Returns all
-- of these, with the last position of the outbox that is not for them.
WITH seen AS (
    INSERT INTO targets (name, after_position)
    SELECT name, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_position_seq)
      FROM unnest($1::text[]) AS name
        ON CONFLICT (name) DO NOTHING
    RETURNING name, after_position
)
SELECT name, after_position FROM seen
 UNION ALL
SELECT name, after_position FROM targets WHERE name = ANY ($1)
