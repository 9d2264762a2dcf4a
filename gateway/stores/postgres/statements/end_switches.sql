-- Take away what ended by itself; a row for each. Of two who do it at once one gets the rows.
DELETE FROM switches WHERE until <= now() RETURNING target, word, is_asked
