"""Places an order. Run it again: the answer is the same, and the order is there once."""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = os.environ["TIDEGATE_URL"] + "/v1/orders"
API_KEY = os.environ["TIDEGATE_API_KEY"]
ORDER_NO = os.environ.get("ORDER_NO", "W-1001")
ATTEMPTS = 6

# Money is text in major units, never a float, and has to add up.
ORDER = {
    "channel": "web",
    "order_no": ORDER_NO,
    "buyer_id": "b-1",
    "placed_at": "2026-11-23T10:00:00+08:00",
    "currency": "CNY",
    "items": [
        {"sku": "TEA-1", "name": "Longjing tea 100 g", "quantity": 2, "unit_price": "99.50"},
    ],
    "amounts": {"goods": "199.00", "payable": "199.00"},
    "recipient": {
        "name": "Zhang San",
        "phone": "13800138000",
        "country": "CN",
        "province": "Zhejiang",
        "city": "Hangzhou",
        "district": "Xihu",
        "street": "Longjing Road 1",
    },
}


def place(order):
    """Return the stored order. Sends it again, with the same key, until it is answered."""
    request = urllib.request.Request(
        URL,
        data=json.dumps(order).encode(),
        headers={
            "Authorization": f"Bearer {API_KEY}",
            "Content-Type": "application/json",
            # Belongs to the order: the same in every attempt, and after a restart.
            "Idempotency-Key": f"web-{order['order_no']}",
        },
    )
    for attempt in range(ATTEMPTS):
        wait_s = 2.0**attempt
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                # problem+json: what is wrong, field by field.
                sys.exit(f"{error.code} {error.read().decode()}")
            wait_s = float(error.headers.get("Retry-After", wait_s))
        except (OSError, http.client.HTTPException) as error:
            # A time-out or a lost connection: the order may be stored.
            # Sending it again finds out.
            print(f"no answer ({error})", file=sys.stderr)
        time.sleep(wait_s)
    sys.exit(f"no answer after {ATTEMPTS} attempts")


print(json.dumps(place(ORDER)))
