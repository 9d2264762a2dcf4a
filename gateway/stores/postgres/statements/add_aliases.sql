-- Store aliases: ids that clients were given, and the orders they stand for. An alias that exists
-- stays as it is. Inserted in one order, so that concurrent calls cannot deadlock.
INSERT INTO order_aliases (alias, order_id)
SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS t (alias, order_id) ORDER BY alias
    ON CONFLICT DO NOTHING
