"""What an order may be written like, beside what its model says: one meaning, several spellings.

A whole number may have decimals of zero (``1.0``), as languages without integers write it, and a
time may lack its seconds. An order that needs it is decoded twice; all others are not touched.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

_PLAIN = msgspec.json.Decoder(float_hook=Decimal)
#: Writes every number with all its digits.
_EXACT = msgspec.json.Encoder(decimal_format="number")
#: What the library says of the fields that are mended here.
_MENDABLE = re.compile(
    r" - at `\$\.(?:items\[\d+\]\.quantity|placed_at|payment\.paid_at)`$", re.ASCII
)
#: Without seconds; or with a leap second, which RFC 3339 has and Python has not.
_TIME = re.compile(
    r"(?P<minute>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d)(?P<leap>:60(?:\.\d+)?)?"
    r"(?P<rest>[Zz]|[+-]\d\d:?\d\d)",
    re.ASCII,
)


def may_mend(error: msgspec.ValidationError) -> bool:
    """Return whether a decoder's first fault is of a kind that is mended here."""
    return _MENDABLE.search(str(error)) is not None


def mended_bytes(body: bytes) -> bytes:
    """Return JSON with its order written as the model says, all else as it was."""
    try:
        return _EXACT.encode(mended(_PLAIN.decode(body)))
    except (OverflowError, TypeError):
        # A number with more digits than can be written again.
        return body


def mended(plain: Any) -> Any:
    """Return plain objects with their order written as the model says, all else as it was."""
    if not isinstance(plain, dict):
        return plain
    order = dict(plain)
    if isinstance(placed_at := order.get("placed_at"), str):
        order["placed_at"] = _with_seconds(placed_at)
    paid = order.get("payment")
    if isinstance(paid, dict) and isinstance(paid_at := paid.get("paid_at"), str):
        order["payment"] = {**paid, "paid_at": _with_seconds(paid_at)}
    if isinstance(items := order.get("items"), list):
        order["items"] = [
            {**item, "quantity": _whole(item)} if _has_quantity(item) else item for item in items
        ]
    return order


def _has_quantity(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("quantity"), Decimal)


def _whole(item: Mapping[str, Any]) -> int | Decimal:
    quantity: Decimal = item["quantity"]
    # The exponent is looked at first: 1E+999999999 must not become so many digits.
    if quantity.adjusted() <= 18 and quantity == (whole := int(quantity)):
        return whole
    return quantity


def _with_seconds(text: str) -> str:
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    return f"{match['minute']}:{'59' if match['leap'] else '00'}{match['rest']}"
