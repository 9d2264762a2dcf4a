"""Digests tell repeats from others: the same things give the same bytes, others never do."""

import json
from decimal import Decimal
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import fingerprint, orders
from loadtest.orders import order
from tests.domain.support import due, submission

PHONE = "+8613800138000"


def line(sku: str, quantity: int = 1) -> dict[str, Any]:
    return {"sku": sku, "name": "Tea", "quantity": quantity, "unit_price": "10.00"}


def goods(*lines: dict[str, Any], buyer: str = "b", channel: str = "web") -> orders.Submission:
    amounts = {"goods": "10.00", "payable": "10.00"}
    return submission(items=list(lines), buyer_id=buyer, channel=channel, amounts=amounts)


def test_every_digest_has_sixteen_bytes() -> None:
    sent = submission()
    payload = fingerprint.payload(sent)
    digests = [
        payload,
        fingerprint.exact(payload, None),
        fingerprint.exact(payload, "r-1"),
        fingerprint.similarity(sent, PHONE)[0],
        fingerprint.similarity(sent, PHONE)[1],
        fingerprint.callback("stripe:main", "evt_1"),
    ]
    assert {len(digest) for digest in digests} == {16}


def test_the_order_of_the_lines_does_not_count() -> None:
    lines = [line("A"), line("B", 2), line("B", 10)]
    sent = [goods(*shuffled) for shuffled in permutations(lines)]
    assert len({fingerprint.similarity(one, PHONE)[0] for one in sent}) == 1
    assert len({fingerprint.similarity(one, PHONE)[1] for one in sent}) == 1


def test_how_an_amount_is_written_does_not_count_for_a_lookalike() -> None:
    sent = [
        submission(items=[line("A")], amounts={"goods": "10", "payable": payable})
        for payable in ("10", "10.00", "1E+1")
    ]
    assert len({fingerprint.similarity(one, PHONE)[0] for one in sent}) == 1


CHANGES: list[dict[str, Any]] = [
    {"channel": "app"},
    {"buyer_id": "another"},
    {"items": [line("OTHER")]},
    {"items": [line("A", 2)]},
    {"items": [line("A"), line("A")]},
    {"amounts": {"goods": "10.00", "payable": "10.01"}},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_lookalike_has_the_same_buyer_goods_and_price(changes: dict[str, Any]) -> None:
    base: dict[str, Any] = {"items": [line("A")], "amounts": {"goods": "10.00", "payable": "10.00"}}
    first, second = submission(**base), submission(**{**base, **changes})
    assert fingerprint.similarity(first, PHONE)[0] != fingerprint.similarity(second, PHONE)[0]


def test_a_lookalike_has_the_same_phone() -> None:
    sent = submission()
    assert fingerprint.similarity(sent, PHONE)[0] != fingerprint.similarity(sent, PHONE[:-1])[0]


texts = st.text(
    alphabet=st.one_of(st.sampled_from("0123456789:*;|"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=6,
)
carts = st.tuples(
    texts, texts, st.lists(st.tuples(texts, st.integers(1, 99)), min_size=1, max_size=3)
)


@given(carts, carts)
def test_no_two_carts_run_together_into_the_same_bytes(
    one: tuple[str, str, list[tuple[str, int]]], two: tuple[str, str, list[tuple[str, int]]]
) -> None:
    """Digits, colons and bars in the text cannot imitate the lengths written before it."""
    sent = [
        goods(*[line(*each) for each in lines], buyer=buyer, channel=channel)
        for channel, buyer, lines in (one, two)
    ]
    is_same = one[:2] == two[:2] and sorted(one[2]) == sorted(two[2])
    assert (
        fingerprint.similarity(sent[0], PHONE)[1] == fingerprint.similarity(sent[1], PHONE)[1]
    ) == is_same
    assert (
        fingerprint.similarity(sent[0], "1")[0] == fingerprint.similarity(sent[1], "1")[0]
    ) == is_same


def test_a_part_can_not_lend_characters_to_the_next() -> None:
    assert fingerprint.callback("ab", "c") != fingerprint.callback("a", "bc")
    assert fingerprint.callback("a", "1:b") != fingerprint.callback("a1:", "b")
    one, two = goods(line("A"), buyer="b1:A*1;"), goods(line("A"), line("A"), buyer="b")
    assert fingerprint.similarity(one, PHONE)[1] != fingerprint.similarity(two, PHONE)[1]


def test_white_space_and_the_order_of_keys_do_not_count_for_a_payload() -> None:
    sent = order(1, attributes={"first": {"a": 1, "b": 2}, "second": 3})
    backwards = {
        **dict(reversed(sent.items())),
        "attributes": {"second": 3, "first": {"b": 2, "a": 1}},
    }
    spellings = [json.dumps(sent), json.dumps(sent, indent=2), json.dumps(backwards)]
    digests = {fingerprint.payload(orders.decode(text.encode())) for text in spellings}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "changes",
    [{"remark": "x"}, {"is_test": True}, {"attributes": {"a": 1}}, {"recipient": {"street": "2"}}],
    ids=str,
)
def test_any_field_counts_for_a_payload(changes: dict[str, Any]) -> None:
    assert fingerprint.payload(submission()) != fingerprint.payload(submission(**changes))


def test_test_orders_resemble_and_contradict_test_orders_only() -> None:
    live, test = submission(), submission(is_test=True)
    for digest in (
        lambda order: fingerprint.similarity(order, PHONE)[0],
        lambda order: fingerprint.similarity(order, PHONE)[1],
        fingerprint.order_number,
        lambda order: fingerprint.request(order, "r-1"),
    ):
        assert digest(live) != digest(test)
    # Nor those of a channel whose name looks like the mark.
    odd = submission(channel="test|3:web")
    assert fingerprint.order_number(odd) != fingerprint.order_number(test)


def test_the_request_id_is_part_of_the_exact_digest() -> None:
    payload = fingerprint.payload(submission())
    digests = {fingerprint.exact(payload, request_id) for request_id in (None, "", "1", "2")}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("sent", "digest"),
    [
        (submission(1), "305eb6c7950f366d025efe3e4411ff0d"),
        (
            due(3, is_test=True, remark=None, attributes={"tax": "0", "a": [1]}),
            "a20d00958db7fdfa35c4731e0a8d521f",
        ),
        (
            submission(2, recipient={"country": "FR", "province": "", "city": "", "district": ""}),
            "439b736e32b29947dcad490977b61b9f",
        ),
    ],
)
def test_a_payload_has_the_digest_that_it_had_before_there_was_tax(
    sent: orders.Submission, digest: str
) -> None:
    """Repeats of orders that were stored then are recognised: computed by version 0.1.0."""
    assert fingerprint.payload(sent).hex() == digest


@pytest.mark.parametrize(
    "amounts", [{"tax": "0"}, {"tax": "0.00"}, {"tax_included": False}, {"tax_included": True}]
)
def test_no_tax_said_in_any_way_is_the_same_payload(amounts: dict[str, Any]) -> None:
    without, zero = submission(1), submission(1, amounts=amounts)
    zero = msgspec.structs.replace(
        zero, items=[msgspec.structs.replace(item, tax=Decimal(0)) for item in zero.items]
    )
    assert fingerprint.payload(zero) == fingerprint.payload(without)


def test_any_part_of_the_tax_counts_for_a_payload() -> None:
    def taxed(*shares: str, **amounts: Any) -> bytes:
        sent = submission(1, amounts=amounts)
        items = [
            msgspec.structs.replace(item, tax=Decimal(share))
            for item, share in zip(sent.items, shares, strict=True)
        ]
        return fingerprint.payload(msgspec.structs.replace(sent, items=items))

    digests = [
        taxed("0", "0"),
        taxed("0", "0", tax="9"),
        taxed("0", "0", tax="9", tax_included=True),
        taxed("4", "0", tax="9"),
        taxed("0", "4", tax="9"),
    ]
    assert len(set(digests)) == len(digests)
    assert taxed("0", "0", tax="9", tax_included=False) == digests[1]
