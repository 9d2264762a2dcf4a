"""What a target is told: the guide shows it, and private fields are only where they may be."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

import ops
from gateway.domain import handoff_payload, money
from gateway.domain.handoff_payload import HandedEvent, OrderToTell
from gateway.domain.orders import Private
from gateway.domain.views import ItemView
from tests.domain.support import NOW

GUIDE = Path(ops.__file__).parent / "guides" / "how-to" / "hand-off.md"
EVENT_ID = UUID("01a209e1-7f0a-7c55-9d07-0a8d5c6b1f10")


def told(**changes: Any) -> OrderToTell:
    fields: dict[str, Any] = {
        name: None for name in OrderToTell.__struct_fields__ if name not in changes
    }
    amounts = ("goods", "shop_discount", "platform_subsidy", "freight", "tax", "refunded")
    fields |= dict.fromkeys(amounts, Decimal(0))
    fields |= {
        "id": EVENT_ID,
        "channel": "web",
        "order_no": "W-1",
        "status": "paid",
        "version": 2,
        "is_test": False,
        "buyer_id": "b-1",
        "currency": "CNY",
        "items": [ItemView("SKU", "Tea", 2, "99.5")],
        "tax_included": False,
        "payable": Decimal("199"),
        "paid": Decimal("199"),
        "country": "CN",
        "province": "Zhejiang",
        "city": "Hangzhou",
        "district": "Xihu",
        "pays_on_delivery": False,
        "placed_at": NOW,
        "updated_at": NOW,
        "payments": [],
        "parcels": [],
    }
    return OrderToTell(**{**fields, **changes})


def rendered(**changes: Any) -> Any:
    body = handoff_payload.render("order.paid", EVENT_ID, NOW, told(**changes))
    return msgspec.json.decode(body)["data"]["order"]


def test_the_guide_shows_a_message_as_it_is_sent() -> None:
    (example,) = re.findall(r"```json\n(\{\n  \"type\".*?\n)```", GUIDE.read_text("utf-8"), re.S)
    shown = msgspec.json.decode(example)
    # Every field is of its type, and none is missing or unknown.
    event = msgspec.json.decode(example, type=HandedEvent)
    assert msgspec.to_builtins(event, str_keys=True).keys() == shown.keys()
    order = msgspec.json.decode(msgspec.json.encode(event))["data"]["order"]
    assert order.keys() == shown["data"]["order"].keys() == rendered().keys()
    for part in ("amounts", "recipient"):
        assert order[part].keys() == shown["data"]["order"][part].keys()
    for part in ("items", "payments"):
        assert order[part][0].keys() == shown["data"]["order"][part][0].keys()


def test_private_fields_are_there_only_where_the_order_was_opened() -> None:
    private = Private(name="Zhang", phone="138", street="Road 1", remark="ring twice")
    assert rendered()["recipient"]["name"] is None
    assert rendered()["remark"] is None
    opened = rendered(private=private)
    assert (opened["recipient"]["name"], opened["recipient"]["phone"]) == ("Zhang", "138")
    assert (opened["recipient"]["postcode"], opened["remark"]) == (None, "ring twice")


def test_an_order_for_nobody_has_no_recipient() -> None:
    assert rendered(country="")["recipient"] is None


@pytest.mark.parametrize("currency", ["CNY", "JPY", "KWD"])
def test_amounts_are_written_with_the_decimals_of_their_currency(currency: str) -> None:
    order = rendered(currency=currency, payable=Decimal("5"), paid=Decimal("7"))
    assert order["amounts"]["payable"] == money.text(Decimal(5), currency)
    assert order["amounts"]["owed"] == money.text(Decimal(2), currency)
    assert order["amounts"]["freight"] == money.text(Decimal(0), currency)
    assert order["items"][0]["discount"] == money.text(Decimal(0), currency)


def test_all_of_a_closed_order_is_owed() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(hours=1)
    assert rendered(closed_at=at)["amounts"]["owed"] == "199.00"
