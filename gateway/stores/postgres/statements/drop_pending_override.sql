-- Remove what was pending on a target: it is approved.
DELETE FROM switches WHERE target = $1 AND is_asked
