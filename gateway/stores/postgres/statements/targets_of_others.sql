-- The targets that other workers had in their settings within $2 seconds, and that are not among
-- these ($1), with what they want and the last position of the outbox that is not for them.
SELECT name, after_position, wanted::text
  FROM targets
 WHERE name <> ALL ($1::text[]) AND known_at > now() - $2 * interval '1 second'
