#!/bin/sh
# Places an order, with curl 7.76 or newer.
# Run it again: the answer is the same, and the order is there once.
set -eu
: "${TIDEGATE_URL:?}" "${TIDEGATE_API_KEY:?}"
order_no=${ORDER_NO:-W-1001}
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# After 429, 503 or a time-out curl sends the same request again, after as
# many seconds as Retry-After says. The key belongs to the order: it is the
# same each time.
status=0
curl --fail-with-body --silent --show-error --output "$answer" \
  --retry 5 --retry-connrefused --max-time 10 \
  --header "Authorization: Bearer $TIDEGATE_API_KEY" \
  --header "Content-Type: application/json" \
  --header "Idempotency-Key: web-$order_no" \
  --data @- "$TIDEGATE_URL/v1/orders" <<JSON || status=$?
{
  "channel": "web", "order_no": "$order_no", "buyer_id": "b-1",
  "placed_at": "2026-11-23T10:00:00+08:00", "currency": "CNY",
  "items": [
    {"sku": "TEA-1", "name": "Longjing tea 100 g", "quantity": 2, "unit_price": "99.50"}
  ],
  "amounts": {"goods": "199.00", "payable": "199.00"},
  "recipient": {
    "name": "Zhang San", "phone": "13800138000", "country": "CN", "province": "Zhejiang",
    "city": "Hangzhou", "district": "Xihu", "street": "Longjing Road 1"
  }
}
JSON

# The stored order, or problem+json: what is wrong, field by field.
cat "$answer"
exit $status
