-- Replace what waits by what is read now; it is tried on its order as if it were new. $1: JSON.
UPDATE waiting w
   SET transaction_id = c.transaction_id, channels = c.channels, order_no = c.order_no,
       event = c.event, is_test = c.is_test, tried_at = NULL
  FROM json_populate_recordset(null::waiting, $1::json) AS c
 WHERE w.id = c.id
