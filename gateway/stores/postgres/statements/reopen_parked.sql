-- Open rows again that a person closed. What a replay or the ledger itself closed is applied, and
-- stays closed. Returns those that were opened.
UPDATE parked
   SET resolved_at = NULL, resolved_by = NULL, resolution = NULL
 WHERE id = ANY (ARRAY(
           SELECT id FROM parked WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE
       ))
   AND resolved_at IS NOT NULL AND resolved_by IS NOT NULL AND NOT is_replayed
RETURNING id
