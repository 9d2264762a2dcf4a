-- How the amounts of locked orders are made up, for what tells such an order anew.
SELECT o.id, o.goods, o.payable, o.shop_discount, o.platform_subsidy, o.freight,
       nullif(o.tax, 0) AS tax, nullif(o.tax_included, false) AS tax_included
  FROM orders o
 WHERE o.id = ANY ($1::uuid[])
