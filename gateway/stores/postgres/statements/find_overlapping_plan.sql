-- The first of these steps whose target another plan overrides at the same time.
SELECT s.n, p.plan, p.target
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[])
       WITH ORDINALITY AS s (target, from_at, until, n)
  JOIN planned p ON p.target = s.target AND p.from_at < s.until AND p.until > s.from_at
 ORDER BY s.n, p.plan
 LIMIT 1
