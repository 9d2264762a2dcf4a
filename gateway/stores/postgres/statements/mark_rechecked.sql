-- These events were re-checked; what still waits is tried again when its order changes.
UPDATE waiting SET rechecked_at = now() WHERE id = ANY ($1::uuid[])
