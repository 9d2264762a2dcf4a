-- Add the steps of a plan.
INSERT INTO planned (plan, target, word, reason, actor, from_at, until)
SELECT $1, t.target, t.word, t.reason, $2, t.from_at, t.until
  FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
       AS t (target, word, reason, from_at, until)
