-- Take back what was said of a target before $2; a row for each.
DELETE FROM switches WHERE target = $1 AND set_at <= $2 RETURNING word, is_asked
