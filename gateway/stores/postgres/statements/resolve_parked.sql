-- Close parked rows; those that are closed stay as they are. Returns those that were open.
UPDATE parked
   SET resolved_at = now(), resolved_by = $2, resolution = $3
 WHERE id = ANY (ARRAY(
           SELECT id FROM parked WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE
       ))
   AND resolved_at IS NULL
RETURNING id
