-- Add the steps of a plan, with when the beginning of each was audited, if it was.
INSERT INTO planned (plan, target, word, reason, actor, from_at, until, begin_told_at)
SELECT $1, t.target, t.word, t.reason, $2, t.from_at, t.until, t.begin_told_at
  FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
              $8::timestamptz[])
       AS t (target, word, reason, from_at, until, begin_told_at)
