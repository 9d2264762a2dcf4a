-- Close the parked row of a message that is stored now, all of it, whatever its parts came to.
UPDATE parked
   SET replays = replays + 1, replayed_at = now(), is_replayed = true,
       resolved_at = now(), resolved_by = $2, resolution = $3
 WHERE id = $1 AND resolved_at IS NULL
RETURNING id
