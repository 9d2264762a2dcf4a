-- The oldest change that is kept.
SELECT position, relayed_at FROM order_changes ORDER BY position LIMIT 1
