-- Approvals of these channels (null: of any), newest first: one by its id, of an order, or in a
-- state as of a time ($5), where what nobody decided in time is expired.
SELECT *
  FROM approvals
 WHERE ($1::text[] IS NULL OR channel = ANY ($1))
   AND ($2::uuid IS NULL OR id = $2)
   AND ($3::uuid IS NULL OR order_id = $3)
   AND ($4::text IS NULL OR $4 = CASE WHEN state = 'pending' AND expires_at <= $5 THEN 'expired'
                                      ELSE state END)
 ORDER BY id DESC
 LIMIT $6
