-- What was asked for is agreed to.
DELETE FROM switches WHERE target = $1 AND is_asked
