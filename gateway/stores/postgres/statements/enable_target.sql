-- Hand on to a target again, all that waited for it included: what waits for its next attempt is due
-- now, up to a bound; the rest of it when its time comes. Returns whether it was disabled.
WITH enabled AS (
    UPDATE targets SET disabled_at = NULL, disabled_reason = NULL
     WHERE name = $1 AND disabled_at IS NOT NULL
    RETURNING name
), due AS (
    UPDATE deliveries SET due_at = now()
     WHERE target = (SELECT name FROM enabled)
       AND event_id = ANY (ARRAY(
               SELECT event_id FROM deliveries
                WHERE target = $1 AND dead_at IS NULL AND due_at > now() AND claimed_by IS NULL
                LIMIT 5000
           ))
)
SELECT EXISTS (SELECT FROM enabled)
