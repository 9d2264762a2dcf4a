"""An order is shown in clear to who may see, masked to everybody else."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import views
from gateway.domain.orders import Private
from tests.domain.support import NOW, new_id

PRIVATE = Private(
    name="张三丰",
    phone="13800138000",
    street="龙井路 1 号",
    postcode="310013",
    id_number="330106198001010010",
    remark="call 13800138000",
    attributes={"note": "canary"},
)


def stored(private: Private = PRIVATE, **changes: Any) -> views.StoredOrder:
    money = Decimal("10.0000")
    names = (
        "goods",
        "shop_discount",
        "platform_subsidy",
        "freight",
        "tax",
        "payable",
        "paid",
        "refunded",
    )
    times = (
        "paid_at", "shipped_at", "completed_at", "closed_at", "carrier", "tracking_no",
        "closed_cause", "accepted_at", "stock_check", "platform_state",
    )  # fmt: skip
    made: dict[str, Any] = {
        **dict.fromkeys(names, money),
        **dict.fromkeys(times),
        **dict.fromkeys(("placed_at", "received_at", "updated_at"), NOW),
        **dict.fromkeys(("country", "province", "city", "district"), "CN"),
        "id": str(new_id()),
        "channel": "web",
        "order_no": "W-1",
        "status": "paid",
        "version": 2,
        "hold": None,
        "is_test": False,
        "tax_included": False,
        "pays_on_delivery": False,
        "buyer_id": "b-1",
        "currency": "CNY",
        "items": [],
        "private": private,
    }
    return views.StoredOrder(**made | changes)


def recipient(shown: views.OrderView) -> views.RecipientView:
    assert shown.recipient is not None
    return shown.recipient


def test_in_clear_everything_is_shown() -> None:
    shown = views.view(stored(), in_clear=True)
    to = recipient(shown)
    assert (to.name, to.phone, to.street) == (PRIVATE.name, PRIVATE.phone, PRIVATE.street)
    assert (to.postcode, to.id_number) == (PRIVATE.postcode, PRIVATE.id_number)
    assert (shown.remark, shown.attributes) == (PRIVATE.remark, PRIVATE.attributes)


def test_masked_nothing_private_is_left() -> None:
    shown = views.view(stored(), in_clear=False)
    to = recipient(shown)
    assert (to.name, to.phone, to.street) == ("张**", "138****8000", "***")
    assert (to.postcode, to.id_number, shown.remark) == ("***", "***", "***")
    assert shown.attributes is None
    text = msgspec.json.encode(shown).decode()
    secrets = ("三丰", "0138", "龙井", "310013", "19800101", "canary")
    assert not any(secret in text for secret in secrets)


def test_masked_what_was_not_given_still_reads_as_not_given() -> None:
    bare = Private(name="Z", phone="13800138000", street="1")
    shown = views.view(stored(bare), in_clear=False)
    to = recipient(shown)
    assert (to.postcode, to.id_number, shown.remark) == (None, None, None)


@pytest.mark.parametrize("in_clear", [False, True])
def test_what_an_order_never_had_is_null_and_not_masked(in_clear: bool) -> None:
    """Its sealed part has an empty text there, since only orders of shops could lack any."""
    shown = views.view(stored(Private(name="", phone="", street="")), in_clear=in_clear)
    to = recipient(shown)
    assert (to.name, to.phone, to.street, shown.unreadable) == (None, None, None, [])
    nobody = dict.fromkeys(("country", "province", "city", "district"), "")
    assert (
        views.view(
            stored(Private(name="", phone="", street=""), **nobody), in_clear=in_clear
        ).recipient
        is None
    )


@pytest.mark.parametrize(("currency", "text"), [("JPY", "10"), ("CNY", "10.00"), ("KWD", "10.000")])
def test_every_amount_has_the_decimals_of_its_currency(currency: str, text: str) -> None:
    amounts = msgspec.structs.asdict(views.view(stored(currency=currency), in_clear=False).amounts)
    assert amounts.pop("tax_included") is False
    # All that is payable is paid, and as much has gone back.
    assert Decimal(amounts.pop("owed")) == 0
    assert set(amounts.values()) == {text}


def test_a_name_of_one_character_is_not_shown_whole() -> None:
    only = Private(name="张", phone="13800138000", street="1")
    assert recipient(views.view(stored(only), in_clear=False)).name == "**"


@pytest.mark.parametrize("in_clear", [False, True])
def test_what_cannot_be_opened_is_null_and_named_and_all_else_is_shown(in_clear: bool) -> None:
    order = stored()
    unopened = msgspec.structs.replace(order, private=None)
    lost = views.view(unopened, in_clear=in_clear)
    assert lost.unreadable == list(views.SEALED_FIELDS)
    found = msgspec.to_builtins(views.view(order, in_clear=True))
    shown = msgspec.to_builtins(lost)
    for path in views.SEALED_FIELDS:
        parent, _, name = path.rpartition(".")
        assert (shown[parent] if parent else shown)[name] is None, path
        (shown[parent] if parent else shown)[name] = (found[parent] if parent else found)[name]
    assert shown | {"unreadable": []} == found


def test_every_sealed_field_has_a_name_in_the_view() -> None:
    sealed = {path.rpartition(".")[2] for path in views.SEALED_FIELDS}
    assert sealed == set(Private.__struct_fields__)
