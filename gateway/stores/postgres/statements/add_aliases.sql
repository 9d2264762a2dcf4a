-- Let ids that were given out lead to the orders that they turned out to be. An alias that is
-- there stays as it is. In one order, so that two who add the same cannot deadlock.
INSERT INTO order_aliases (alias, order_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS t (alias, order_id) ORDER BY alias
    ON CONFLICT DO NOTHING
