-- Give parked rows to a person, or (null) to nobody. Returns those that were not theirs before.
UPDATE parked
   SET assignee = $2
 WHERE id = ANY (ARRAY(
           SELECT id FROM parked WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE
       ))
   AND assignee IS DISTINCT FROM $2
RETURNING id
