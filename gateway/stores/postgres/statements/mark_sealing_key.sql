-- From now on fields may be sealed with this key: no process may start without it.
UPDATE sealing_keys SET in_use_since = now()
 WHERE kind = 'seal' AND key_id = $1 AND in_use_since IS NULL
