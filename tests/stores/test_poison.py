"""Batch poison on the real ledger: the bad row is parked with its reason, the rest is committed."""

import random
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from gateway.domain import events
from gateway.domain.errors import Poisoned
from gateway.domain.placing import Placement
from gateway.wiring import Gateway
from tests.domain import support
from tests.domain.support import NOW, due, paid, submission
from tests.stores.support import Database, at_once, counts, placement, reported, rows, tell

PARKED = ("source", "source_key", "reason", "detail")


def by_hand(n: int, **changes: Any) -> Placement:
    """Return a placement that no check has seen; its body says which it was."""
    made = support.placement(submission(n, **changes), received_at=NOW)
    return msgspec.structs.replace(made, raw=b"CanaryBody")


BAD_ORDERS: dict[str, tuple[Placement, str]] = {
    "a zero byte in a column": (by_hand(900, recipient={"province": "\0"}), "[22021]"),
    "a zero byte in the items": (
        by_hand(901, items=[{"sku": "\0", "name": "x", "quantity": 1, "unit_price": "1"}]),
        "[22P05]",
    ),
    "a zero byte in the number": (
        msgspec.structs.replace(
            by_hand(902),
            submission=msgspec.structs.replace(submission(902), order_no="lt-00000902\0"),
        ),
        "[22021]",
    ),
    "an amount out of range": (
        by_hand(903, amounts={"goods": "1E+20", "payable": "1E+20"}),
        "[22003]",
    ),
    "a negative amount": (by_hand(904, amounts={"goods": "-1", "payable": "-1"}), "[23514]"),
    "half a character": (
        msgspec.structs.replace(
            by_hand(905),
            submission=msgspec.structs.replace(submission(905), buyer_id="\ud800"),
        ),
        "",
    ),
    "a name that is half a character": (
        msgspec.structs.replace(
            by_hand(906),
            submission=msgspec.structs.replace(
                submission(906),
                recipient=msgspec.structs.replace(submission(906).to, name="\ud800"),
            ),
        ),
        "",
    ),
}


async def place_all(gateway: Gateway, sent: Sequence[Placement]) -> list[Any]:
    return await at_once([gateway.intake.accept_order(each) for each in sent])


@pytest.mark.parametrize("kind", list(BAD_ORDERS))
async def test_one_bad_order_of_200_is_parked_and_199_are_committed(
    gateway: Gateway, ledger: Database, kind: str
) -> None:
    bad, state = BAD_ORDERS[kind]
    sent = [placement(gateway, due(n)) for n in range(200)]
    sent[77] = bad
    outcomes = await place_all(gateway, sent)
    assert Counter(type(each).__name__ for each in outcomes) == {"Placed": 199, "Poisoned": 1}
    assert {each.answer for n, each in enumerate(outcomes) if n != 77} == {"placed"}
    made = await counts(ledger)
    assert (made["orders"], made["order_events"], made["outbox"], made["raw_messages"]) == (
        199,
        199,
        199,
        199,
    )
    poisoned = outcomes[77]
    assert isinstance(poisoned, Poisoned)
    (row,) = await rows(ledger, "parked", "id", "source", "source_key", "reason", "detail", "body")
    assert str(row[0]) == poisoned.parked_id
    assert row[1] == "placed:web"
    assert row[2].startswith(f"lt-{bad.submission.order_no[3:11]}")
    assert row[3] == "poison"
    assert state in row[4]
    opened = gateway.stores.sealer.open("parked.body", row[0].bytes, row[5])
    assert opened == b"CanaryBody"
    assert b"Canary" not in row[5]


BAD_EVENTS: dict[str, tuple[events.Event, str]] = {
    "an amount out of range": (
        paid(Decimal(10) ** 20, order_no="W-77", transaction_id="U"),
        "[22003]",
    ),
    "an endless amount": (
        paid("Infinity", order_no="W-77", transaction_id="U"),
        "InvalidOperation",
    ),
    "a monstrous amount": (paid("1E+999999", order_no="W-77", transaction_id="U"), "[22003]"),
    "a zero byte in a number": (paid(order_no="W-77\0", transaction_id="U"), "[22021]"),
    "a zero byte in a transaction": (paid(order_no="W-77", transaction_id="T\0"), "[22021]"),
    "a zero byte in what waits": (events.Shipped("X-77", "S\0F", "1", NOW), "[22P05]"),
    "half a character": (events.Closed("W-77\ud800", "timed_out", NOW), ""),
    "a number longer than an index takes": (
        paid(order_no="W-77", transaction_id=random.Random(1).randbytes(20_000).hex()),
        "[54000]",
    ),
}


@pytest.mark.parametrize("kind", list(BAD_EVENTS))
async def test_one_bad_event_of_200_is_parked_and_199_are_committed(
    gateway: Gateway, ledger: Database, kind: str
) -> None:
    bad, state = BAD_EVENTS[kind]
    await place_all(gateway, [placement(gateway, due(n, order_no=f"W-{n}")) for n in range(200)])
    sent = [
        reported(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"), f"evt_{n}")
        for n in range(200)
    ]
    sent[77] = reported(gateway, bad, "evt_77", raw=b"CanaryBody")
    outcomes: list[Any] = await at_once([gateway.intake.accept_event(each) for each in sent])
    assert Counter(type(each).__name__ for each in outcomes) == {"Done": 199, "Poisoned": 1}
    assert Counter(await rows(ledger, "orders", "status")) == {
        ("paid",): 199,
        ("pending_payment",): 1,
    }
    (row,) = await rows(ledger, "parked", "id", *PARKED, "body")
    assert row[1:4] == ("stripe:main", "evt_77", "poison")
    assert state in row[4]
    assert str(row[0]) == outcomes[77].parked_id
    opened = gateway.stores.sealer.open("parked.body", row[0].bytes, row[5])
    assert opened == b"CanaryBody"


async def test_poison_sent_again_is_parked_once(gateway: Gateway, ledger: Database) -> None:
    """The sender hears the same id however often it tries."""
    ids = set()
    for _ in range(3):
        with pytest.raises(Poisoned) as raised:
            await tell(gateway, paid(Decimal(10) ** 20), "evt_1")
        ids.add(raised.value.parked_id)
    assert len(ids) == 1
    assert len(await rows(ledger, "parked", "id")) == 1


async def test_the_reason_never_quotes_what_was_sent(gateway: Gateway, ledger: Database) -> None:
    bad = by_hand(1, recipient={"province": "Canary\0", "name": "Canary\0"}, buyer_id="Canary")
    await place_all(gateway, [bad])
    await at_once([tell(gateway, paid(Decimal(10) ** 20, transaction_id="Canary-1"))])
    found = await rows(ledger, "parked", "detail")
    assert len(found) == 2
    assert not any("Canary" in detail for (detail,) in found)


async def test_an_order_with_a_repaired_body_is_stored_after_its_poison(
    gateway: Gateway, ledger: Database
) -> None:
    await place_all(gateway, [by_hand(1, recipient={"province": "\0"})])
    (outcome,) = await place_all(gateway, [placement(gateway, submission(1))])
    assert outcome.answer == "placed"
    assert (await counts(ledger))["orders"] == 1
