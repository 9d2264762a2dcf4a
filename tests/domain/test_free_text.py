"""A control character in free text becomes a blank; what identifies is never changed unasked."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import fingerprint, free_text, orders, validation
from gateway.domain.errors import Invalid
from tests.domain.support import NOW, submission

BLANKED = [
    *(chr(code) for code in range(0x20) if chr(code) not in "\t\n\r"),
    *(chr(code) for code in range(0x7F, 0xA0)),
    *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
]
KEPT = [
    *"\t\n\r",
    " ",
    "\u00a0",
    "\u3000",
    "\u200d",
    "\u200e",
    "\u200f",
    "\u061c",
    "\ufeff",
    "é",
    "🍵",
]
FREE = ["name", "street", "province", "city", "district", "postcode", "id_number"]


def checked(sent: orders.Submission, *, is_from_shop: bool = False) -> orders.Submission:
    return validation.check(sent, channels={"web"}, now=NOW, is_from_shop=is_from_shop).order


def line(**changes: Any) -> dict[str, Any]:
    return {"sku": "T-1", "name": "Tea", "quantity": 1, "unit_price": "100.00", **changes}


@pytest.mark.parametrize("character", BLANKED, ids=ascii)
def test_it_becomes_a_blank(character: str) -> None:
    assert free_text.tidied(f"a{character}b") == "a b"


@pytest.mark.parametrize("character", KEPT, ids=ascii)
def test_all_else_stays(character: str) -> None:
    text = f"a{character}b"
    assert free_text.tidied(text) is text


@given(st.text())
def test_nothing_but_control_characters_changes(text: str) -> None:
    tidied = free_text.tidied(text)
    assert len(tidied) == len(text)
    assert not free_text.has_control(tidied)
    for before, after in zip(text, tidied, strict=True):
        assert after == (" " if before in BLANKED else before)


@pytest.mark.parametrize("is_from_shop", [False, True])
@pytest.mark.parametrize("field", FREE)
def test_each_field_of_the_recipient_is_tidied(field: str, is_from_shop: bool) -> None:
    sent = submission(recipient={field: "a\0b\x85c"})
    assert getattr(checked(sent, is_from_shop=is_from_shop).recipient, field) == "a b c"


@pytest.mark.parametrize("is_from_shop", [False, True])
def test_remark_phone_and_names_of_items_are_tidied(is_from_shop: bool) -> None:
    sent = submission(
        remark="ring\x07\ntwice",
        recipient={"phone": "\u202d138\x000013\x858000\u202c"},
        items=[line(), line(sku="T-2", name="Te\x1ba", unit_price="0")],
    )
    stored, phone = validation.check(
        sent, channels={"web"}, now=NOW, is_from_shop=is_from_shop
    )  # fmt: skip
    assert stored.remark == "ring \ntwice"
    assert (stored.to.phone, phone) == ("\u202d138 0013 8000\u202c", "+8613800138000")
    assert [item.name for item in stored.items] == ["Tea", "Te a"]
    # Nothing else changed.
    same = msgspec.structs.replace(
        stored, remark=sent.remark, recipient=sent.recipient, items=sent.items
    )
    assert same == sent


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"buyer_id": "b\0"}, "buyer_id"),
        ({"buyer_id": "b\x85"}, "buyer_id"),
        ({"items": [line(sku="T\0")]}, "items[0].sku"),
        ({"items": [line(), line(sku="\u202eT", unit_price="0")]}, "items[1].sku"),
    ],
)
def test_what_identifies_is_rejected_of_a_storefront_and_tidied_of_a_shop(
    changes: dict[str, Any], field: str
) -> None:
    """A shop's order cannot be sent back."""
    sent = submission(**changes)
    with pytest.raises(Invalid) as caught:
        checked(sent)
    assert [fault.field for fault in caught.value.faults] == [field]
    stored = checked(sent, is_from_shop=True)
    assert not free_text.has_control(stored.buyer_id + "".join(item.sku for item in stored.items))


@pytest.mark.parametrize(
    "changes",
    [{}, {"remark": "two\r\nlines\t"}, {"recipient": {"name": "👩‍👩‍👧 Śmith\u200e"}}],
    ids=str,
)
def test_an_order_without_any_is_the_very_same(changes: dict[str, Any]) -> None:
    """So is the digest by which its repeats are known."""
    sent = submission(**changes)
    assert checked(sent) is sent
    assert checked(sent, is_from_shop=True) is sent


def test_a_required_field_of_nothing_else_is_missing() -> None:
    with pytest.raises(Invalid) as caught:
        checked(submission(recipient={"city": "\0\x85"}))
    assert [fault.field for fault in caught.value.faults] == ["recipient.city"]


def test_digests_of_plain_orders_stay() -> None:
    """Repeats of orders that are stored must be known by them for good."""
    assert fingerprint.payload(submission()).hex() == DIGEST
    assert fingerprint.similarity(submission(), "+8613800138000")[0].hex() == LOOKALIKE


DIGEST = "305eb6c7950f366d025efe3e4411ff0d"
LOOKALIKE = "066d72fce0b48f9c754bb31f9a948660"
