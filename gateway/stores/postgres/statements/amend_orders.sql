-- Give orders the amounts and lines with which a shop told them anew, or a person amended them. The orders are locked; their
-- status, sums and version are written by write_follow_ups.sql.
UPDATE orders o
   SET goods = a.goods, shop_discount = a.shop_discount, platform_subsidy = a.platform_subsidy,
       freight = a.freight, tax = a.tax, tax_included = a.tax_included, payable = a.payable,
       items = a.items::jsonb,
       -- Amended by a person: what the storefront sent is still what its repeats are told by.
       payload_digest = CASE a.payload_digest WHEN '' THEN o.payload_digest
                                              ELSE a.payload_digest END
  FROM unnest(
           $1::uuid[], $2::numeric[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[],
           $7::bool[], $8::numeric[], $9::text[], $10::bytea[]
       ) AS a (
           id, goods, shop_discount, platform_subsidy, freight, tax, tax_included, payable, items,
           payload_digest
       )
 WHERE o.id = a.id
