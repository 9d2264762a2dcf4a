"""What a shop's message tells is stored whole: the order first, then what happened to it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gateway.domain import events, orders
from gateway.domain.channels import ChannelPolicy
from gateway.intake import shop_message
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, paid
from tests.stores.support import Database, counts, order, rows

NOWHERE = orders.Recipient(name="", phone="", country="DE", street="")


def bought(n: int = 1, **changes: Any) -> orders.Submission:
    """Return the order ``W-n`` of goods to download: no address, no telephone number."""
    changes = {"order_no": f"W-{n}", "recipient": NOWHERE, **changes}
    return msgspec.structs.replace(due(1), **changes)


async def tell(
    gateway: Gateway, *items: events.Event | orders.Submission, key: str = "m-1"
) -> None:
    message = shop_message.ShopMessage(
        source="shop:main",
        provider="shop",
        policies={"web": ChannelPolicy()},
        trigger="callback:shop:main",
        items=[(f"{key}:{n}", item) for n, item in enumerate(items)],
        body=b"as it arrived",
        received_at=datetime.now(UTC),
    )
    await shop_message.accept(message, intake=gateway.intake, new_id=gateway.new_id)


async def test_an_order_and_its_payment_in_one_message(gateway: Gateway, ledger: Database) -> None:
    for _ in range(2):
        await tell(gateway, bought(), paid())
    stored = await order(ledger)
    assert (stored["status"], stored["country"], stored["hold"]) == ("paid", "DE", None)
    found = await counts(ledger)
    assert (found["orders"], found["payments"], found["parked"]) == (1, 1, 0)
    # The message is stored once, with the order it brought.
    assert found["raw_messages"] == 1


async def test_a_second_order_of_the_same_goods_is_no_repeat(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, bought(1))
    await tell(gateway, bought(2), key="m-2")
    assert (await order(ledger, "W-2"))["hold"] == "lookalike"
    assert (await counts(ledger))["orders"] == 2


async def test_an_order_that_changed_since_is_shown_to_a_person(
    gateway: Gateway, ledger: Database
) -> None:
    await tell(gateway, bought())
    for _ in range(2):
        await tell(gateway, bought(remark="ring twice"), paid(), key="m-2")
    stored = await order(ledger)
    assert stored["status"] == "paid"
    assert await rows(ledger, "parked", "reason", "detail", "order_id") == [
        ("unmapped", "the order differs from the one stored under its number", stored["id"])
    ]
    assert (await counts(ledger))["raw_messages"] == 2


async def test_an_order_that_does_not_add_up_is_shown_with_its_faults(
    gateway: Gateway, ledger: Database
) -> None:
    wrong = msgspec.structs.replace(bought().amounts, payable=bought().amounts.payable + 1)
    await tell(gateway, bought(amounts=wrong, buyer_id=""), paid())
    ((reason, detail),) = await rows(ledger, "parked", "reason", "detail")
    assert reason == "unmapped"
    assert "amounts.payable is" in detail
    assert "buyer_id has 0 characters, not 1 to 128" in detail
    found = await counts(ledger)
    # The payment waits for an order that a person may still bring.
    assert (found["orders"], found["waiting"], found["raw_messages"]) == (0, 1, 1)


@pytest.mark.parametrize("order_no", ["W-1", "W-9", ""])
async def test_what_could_not_be_mapped_is_parked_once(
    gateway: Gateway, ledger: Database, order_no: str
) -> None:
    await tell(gateway, bought())
    for _ in range(2):
        await tell(gateway, events.Unmapped("refund", order_no, "of no amount", NOW), key="m-2")
    ((reason, detail, order_id),) = await rows(ledger, "parked", "reason", "detail", "order_id")
    assert (reason, detail) == ("unmapped", "of no amount")
    assert order_id == ((await order(ledger))["id"] if order_no == "W-1" else None)
    assert (await counts(ledger))["waiting"] == 0
