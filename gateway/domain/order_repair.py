"""What else is wrong with an order whose shape is: the rules, applied to the rest of it.

Rules are checked on decoded orders. So that one answer names the wrong types and, say, an unknown
currency, each field of a wrong shape is replaced by one that is right, and what the rules then say
of it, or because of it, is left out.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.domain.errors import Fault
from gateway.domain.orders import Submission

_ITEM: dict[str, Any] = {
    "sku": "A", "name": "A", "quantity": 1, "unit_price": "1", "discount": "0",
    "tax": "0",
}  # fmt: skip
_AMOUNTS: dict[str, Any] = {
    "goods": "1", "payable": "1", "shop_discount": "0", "platform_subsidy": "0", "freight": "0",
    "tax": "0", "tax_included": False,
}  # fmt: skip
_RECIPIENT: dict[str, Any] = {
    "name": "A", "phone": "13800138000", "country": "CN", "street": "A", "province": "A",
    "city": "A", "district": "A", "postcode": None, "id_number": None,
}  # fmt: skip
_PAYMENT: dict[str, Any] = {
    "provider": "a", "transaction_id": "A", "paid_at": "2026-01-01T00:00:00Z", "amount": "1",
}  # fmt: skip
_ORDER: dict[str, Any] = {
    "channel": "A", "order_no": "A", "buyer_id": "A", "placed_at": "2026-01-01T00:00:00Z",
    "currency": "CNY", "items": [_ITEM], "amounts": _AMOUNTS, "recipient": _RECIPIENT,
    "remark": None, "is_test": False, "attributes": None, "payment": _PAYMENT,
    "platform_state": None,
}  # fmt: skip

_STEP = re.compile(r"[^.\[\]]+")
_MONEY = re.compile(r"amounts\.\w+|payment\.amount|items\[\d+\]\.(?:unit_price|discount|tax)")
_SUMS = ("amounts.goods", "amounts.tax", "amounts.payable")


def repaired(plain: Any, wrong: Sequence[Fault]) -> Submission | None:
    """Return an order of a right shape with all of ``plain`` that is right; None: there is none.

    ``plain``: a decoded JSON object; ``wrong``: the faults of its shape.
    """
    if not isinstance(plain, dict):
        return None
    order = _known(plain, _ORDER)
    order["amounts"] = _known(order.get("amounts"), _AMOUNTS)
    for name, sample in (("recipient", _RECIPIENT), ("payment", _PAYMENT)):
        if order.get(name) is not None:
            order[name] = _known(order[name], sample)
    if isinstance(order.get("items"), list):
        order["items"] = [_known(item, _ITEM) for item in order["items"]]
    for fault in wrong:
        _replace(order, fault.field)
    try:
        return msgspec.convert(order, Submission)
    except msgspec.ValidationError:
        return None


def independent(found: Sequence[Fault], wrong: Sequence[Fault]) -> list[Fault]:
    """Return what the rules found that has nothing to do with the fields that were replaced."""
    fields = [fault.field for fault in wrong]
    return [fault for fault in found if not any(_concerns(fault, each) for each in fields)]


def _known(value: Any, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an object that the sample has too; of all else, nothing."""
    return {name: value[name] for name in sample if name in value} if _is_object(value) else {}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _replace(order: dict[str, Any], field: str) -> None:
    """Replace a field of the order by the sample's; an unknown one is not there any more."""
    at: Any = order
    sample: Any = _ORDER
    steps = _STEP.findall(field)
    for n, step in enumerate(steps):
        is_last = n == len(steps) - 1
        if isinstance(sample, list):
            key: Any = int(step) if step.isdigit() else len(at)
            inner, is_there = sample[0], key < len(at)
        else:
            key, inner, is_there = step, sample.get(step), step in sample
        if not is_there:
            return
        if is_last:
            at[key] = inner
        elif isinstance(inner, dict | list) and isinstance(at, dict | list):
            at, sample = at[key], inner
        else:
            return


def _concerns(fault: Fault, wrong: str) -> bool:
    """Return whether a rule speaks of a replaced field, or of what is computed from it."""
    field = fault.field
    if field == wrong or field.startswith((f"{wrong}.", f"{wrong}[")):
        return True
    if wrong == "currency":
        return _MONEY.fullmatch(field) is not None
    if wrong == "recipient.country":
        return field.startswith("recipient.")
    if wrong.startswith(("items", "amounts")):
        line = wrong.partition("].")[0]
        # Sums, and a discount that is more than its line costs.
        return (field in _SUMS and fault.reason.startswith("is ")) or field == f"{line}].discount"
    return False
