-- Count the rejected callbacks that are stored, as in `list_rejected_callbacks.sql`, by reason.
SELECT reason, count(*) AS callbacks
  FROM refused_callbacks
 WHERE ($1::text IS NULL OR provider = $1)
   AND ($2::text IS NULL OR account = $2)
   AND ($3::text IS NULL OR reason = $3)
 GROUP BY reason
 ORDER BY count(*) DESC, reason
