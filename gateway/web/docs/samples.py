"""Sample values of schemas, for the answers and bodies that the page shows."""

from collections.abc import Mapping
from typing import Any

from gateway.web.docs.fields import Components, Schema, resolved

#: What a field is shown with, by its name: one order through all samples.
_BY_NAME: Mapping[str, object] = {
    "channel": "web",
    "order_no": "W-1001",
    "buyer_id": "b-1",
    "status": "pending_payment",
    "version": 1,
    "currency": "CNY",
    "sku": "TEA-1",
    "quantity": 2,
    "unit_price": "99.50",
    "discount": "0.00",
    "goods": "199.00",
    "payable": "199.00",
    "shop_discount": "0.00",
    "platform_subsidy": "0.00",
    "freight": "0.00",
    "tax": "0.00",
    "tax_included": False,
    "paid": "0.00",
    "refunded": "0.00",
    "country": "CN",
    "province": "Zhejiang",
    "city": "Hangzhou",
    "district": "Xihu",
    "street": "Longjing Road 1",
    "postcode": "310013",
    "remark": "Please call before delivery.",
    "action": "placed",
    "from_status": None,
    "to_status": "pending_payment",
    "outcome": "applied",
    "source": "storefront",
    "trigger": "key:01a209e0",
}
#: What is null in an order that was just placed.
_NULL = frozenset(
    {
        "hold", "carrier", "tracking_no", "paid_at", "shipped_at", "completed_at", "closed_at",
        "stock_check", "platform_state", "payment",
        "id_number", "attributes", "reason", "detail", "next_cursor",
    }
)  # fmt: skip
_BY_FORMAT: Mapping[str, str] = {
    "date-time": "2026-11-23T10:00:00+08:00",
    "uuid": "01a209e1-6c1b-7a30-8fca-993ca3def24d",
}
_DEPTH_MAX = 8


def sample(schema: Schema, components: Components) -> object:
    """Return a value that the schema allows, the same one each time."""
    return _sample(schema, components, "", _DEPTH_MAX)


def _sample(schema: Schema, components: Components, name: str, depth: int) -> object:
    whole = resolved(schema, components)
    if "examples" in whole:
        return whole["examples"][0]
    if "const" in whole:
        return whole["const"]
    if alternatives := whole.get("anyOf"):
        kinds = [each.get("type") for each in alternatives]
        if "null" in kinds and name in _NULL:
            return None
        return _sample(alternatives[kinds[0] == "null"], components, name, depth)
    if "enum" in whole:
        known = _BY_NAME.get(name)
        return known if known in whole["enum"] else whole["enum"][0]
    return _of_type(whole, components, name, depth)


def _of_type(whole: Schema, components: Components, name: str, depth: int) -> object:
    match whole.get("type"):
        case "object":
            return _object(whole, components, depth)
        case "array":
            inner = whole.get("items", {})
            return [_sample(inner, components, "", depth - 1)] if depth else []
        case "string":
            known = _BY_FORMAT.get(whole.get("format", ""), _BY_NAME.get(name))
            return known if isinstance(known, str) else name.replace("_", " ") or "text"
        case "integer":
            known = _BY_NAME.get(name)
            return known if isinstance(known, int) else whole.get("minimum", 0)
        case "number":
            return float(whole.get("minimum", 0))
        case "boolean":
            return False
    return {}


def _object(whole: Schema, components: Components, depth: int) -> dict[str, Any]:
    if not depth:
        return {}
    fields = whole.get("properties", {})
    return {name: _sample(field, components, name, depth - 1) for name, field in fields.items()}
