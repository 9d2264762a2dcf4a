-- Hand nothing on to a target any more until a person enables it; a target that is disabled already
-- keeps the reason that it has. Returns whether it was enabled.
UPDATE targets SET disabled_at = now(), disabled_reason = $2
 WHERE name = $1 AND disabled_at IS NULL
RETURNING true
