-- Where orders go, of those that are locked; private fields sealed.
SELECT id, channel, buyer_id, country, province, city, district, private
  FROM orders
 WHERE id = ANY ($1::uuid[])
