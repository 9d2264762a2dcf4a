-- Lock orders, in id order as all who lock several, with what acceptances change of them.
SELECT o.id, o.version, o.status, o.acceptances
  FROM orders o
 WHERE o.id = ANY ($1::uuid[])
 ORDER BY o.id
   FOR UPDATE
