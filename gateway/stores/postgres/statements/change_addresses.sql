-- Give orders another address, and keep what each change was, by the event that made it. The orders
-- are locked; their version is written by write_follow_ups.sql. Private fields come sealed.
WITH log AS (
    INSERT INTO address_changes (id, order_id, change, changed_at)
    SELECT * FROM unnest($8::uuid[], $9::uuid[], $10::bytea[], $11::timestamptz[])
)
UPDATE orders o
   SET country = a.country, province = a.province, city = a.city, district = a.district,
       private = a.private, phone_index = a.phone_index
  FROM unnest(
           $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[]
       ) AS a (id, country, province, city, district, private, phone_index)
 WHERE o.id = a.id
