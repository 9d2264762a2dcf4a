-- Forget when orders were to be paid: it has come, and what had to be done is done.
DELETE FROM unpaid_orders WHERE order_id = ANY ($1::uuid[])
