-- An order as far as a shop tells it, to be compared with what the shop tells now.
SELECT currency, goods, shop_discount, platform_subsidy, freight, tax, tax_included, payable,
       items::text, buyer_id, placed_at, country, province, city, district, private
  FROM orders
 WHERE id = $1
