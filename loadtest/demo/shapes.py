"""Orders of the shapes that real ones have: taxes, no address, odd telephone numbers, no price.

Which shape an order has follows from its number, so that a run can be repeated.
"""

from decimal import Decimal
from typing import Any

from loadtest import orders

#: As people and platforms write them; each is made an order's own by its serial number.
PHONES = (
    "138 {}", "+86 138{}", "0086138{}", "tel:+86138{}", "(138) {}", "138****{:.4}", "184{}-1234",
    "138{}转1234",
)  # fmt: skip
_CENT = Decimal("0.01")


def mixed(n: int, *, prefix: str, channel: str) -> dict[str, Any]:
    """Return order ``n``: most are plain, one in ten has each of the shapes in turn."""
    changes: dict[str, Any] = {"channel": channel}
    shape = n % 50
    if shape == 7:
        changes["amounts"] = {"tax": str(_tax(n))}
    elif shape == 17:
        changes["amounts"] = {"tax": str(_tax(n)), "tax_included": True}
    made = orders.order(n, prefix=prefix, **changes)
    if shape == 27:
        # A download: nobody to send it to.
        del made["recipient"]
    elif shape == 37:
        number = made["recipient"]["phone"][3:]
        made["recipient"]["phone"] = PHONES[n // 50 % len(PHONES)].format(number)
    elif shape == 47:
        given = made["amounts"]["payable"]
        made["amounts"] |= {"shop_discount": given, "payable": "0.00"}
    return made


def _tax(n: int) -> Decimal:
    return (Decimal(100 + n % 400) / 10).quantize(_CENT)
