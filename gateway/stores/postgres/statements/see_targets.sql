-- Note targets ($1), and what each wants ($2): a worker has them in its settings now. One that was
-- not seen before is told of what is staged from now on. Returns of each the last position of the
-- outbox that is not for it. Sorted, so that workers cannot deadlock.
INSERT INTO targets (name, after_position, wanted, known_at)
SELECT i.name,
       (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_position_seq),
       i.wanted::jsonb, now()
  FROM unnest($1::text[], $2::text[]) AS i (name, wanted)
 ORDER BY i.name
    ON CONFLICT (name) DO UPDATE SET wanted = excluded.wanted, known_at = excluded.known_at
RETURNING name, after_position
