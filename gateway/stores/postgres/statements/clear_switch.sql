-- Take back what is said of a target, and what is asked for it; a row for each.
DELETE FROM switches WHERE target = $1 RETURNING word, is_asked
