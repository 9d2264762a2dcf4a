-- Replace what payments were told as, before they counted for any order. $1: JSON, a row each.
UPDATE payments p
   SET transaction_id = c.transaction_id, amount = c.amount, currency = c.currency,
       paid_at = c.paid_at, order_id = c.order_id, order_no = c.order_no,
       standing = c.standing
  FROM json_populate_recordset(null::payments, $1::json) AS c
 WHERE p.id = c.id
