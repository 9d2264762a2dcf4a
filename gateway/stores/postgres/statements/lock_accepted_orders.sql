-- Lock orders that targets say they have, in id order as all who lock several.
SELECT o.id, o.version, o.status, o.acceptances
  FROM orders o
 WHERE o.id = ANY ($1::uuid[])
 ORDER BY o.id
   FOR UPDATE
