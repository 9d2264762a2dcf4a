"""A target's 2xx is its word: written with the delivery, it comes to what an event comes to."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.domain import events
from gateway.stores.postgres import acceptances
from gateway.stores.postgres.acceptances import Answered
from gateway.wiring import Gateway
from tests.domain.support import NOW, closed, due, paid, shipped
from tests.stores.support import Database, at_once, order, rows, submit, tell

AT = NOW + timedelta(minutes=6)


async def answer(gateway: Gateway, *answered: Answered) -> int:
    async with gateway.stores.primary.acquire() as connection, connection.transaction():
        return await acceptances.record(connection, answered, new_id=gateway.new_id)


async def told_paid(gateway: Gateway, n: int = 1) -> UUID:
    placed = await submit(gateway, due(n, order_no=f"W-{n}"))
    await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))
    return placed.id


def word(gateway: Gateway, id_: UUID, target: str = "wms", minute: int = 0) -> Answered:
    return Answered(id_, target, gateway.new_id(), AT + timedelta(minutes=minute))


async def test_it_is_as_an_event_of_the_same_kind(gateway: Gateway, ledger: Database) -> None:
    first, second = await told_paid(gateway, 1), await told_paid(gateway, 2)
    said = word(gateway, first)
    assert await answer(gateway, said) == 1
    await tell(gateway, events.Accepted("W-2", "wms", "", AT))
    kept = ("status", "version", "accepted_at", "acceptances", "paid", "hold")
    by_answer, by_event = await order(ledger), await order(ledger, "W-2")
    assert [by_answer[name] for name in kept] == [by_event[name] for name in kept]
    assert by_answer["updated_at"] > by_answer["received_at"]
    columns = ("order_id", "action", "from_status", "to_status", "outcome", "detail", "occurred_at")
    history = await rows(ledger, "order_events", *columns)
    assert history[-2][1:] == history[-1][1:]
    assert (history[-2][0], history[-1][0]) == (first, second)
    keys = await rows(ledger, "order_events", "source", "source_key", "trigger")
    assert keys[-2] == ("target:wms", str(said.event_id), "answer:wms")
    topics = await rows(ledger, "outbox", "topic", "version", "priority")
    assert topics[-2:] == [("order.accepted", 3, 5)] * 2


async def test_a_repeat_changes_nothing_and_another_target_speaks_for_itself(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await told_paid(gateway)
    assert await answer(gateway, word(gateway, id_)) == 1
    before = await order(ledger)
    assert await answer(gateway, word(gateway, id_, minute=1)) == 0
    assert await order(ledger) == before
    assert await answer(gateway, word(gateway, id_, "erp"), word(gateway, id_, minute=2)) == 1
    stored = await order(ledger)
    assert (stored["version"], stored["accepted_at"]) == (4, AT)
    known = msgspec.json.decode(stored["acceptances"])
    assert [each["target"] for each in known] == ["erp", "wms"]
    assert (await rows(ledger, "outbox", "version"))[-1] == (4,)


async def test_two_targets_of_one_order_in_one_batch_are_two_versions(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await told_paid(gateway)
    assert await answer(gateway, word(gateway, id_, "erp"), word(gateway, id_)) == 1
    assert (await order(ledger))["version"] == 4
    versions = [version for (version,) in await rows(ledger, "outbox", "version")]
    assert versions == [1, 2, 3, 4]


async def test_a_callback_of_the_same_target_is_a_repeat(
    gateway: Gateway, ledger: Database
) -> None:
    id_ = await told_paid(gateway)
    await answer(gateway, word(gateway, id_))
    done = await tell(gateway, events.Accepted("W-1", "wms", "WMS-1", AT + timedelta(hours=1)))
    assert done.outcome == "repeat"


async def test_nobody_waits_for_it_any_more(gateway: Gateway, ledger: Database) -> None:
    id_ = await told_paid(gateway)
    await ledger.executemany(
        "INSERT INTO awaiting_acceptance (order_id, target, event_id, position, version, since) "
        "VALUES ($1, $2, gen_random_uuid(), 1, 2, now())",
        [(id_, "wms"), (id_, "erp")],
    )
    await answer(gateway, word(gateway, id_))
    assert await ledger.fetch("SELECT target FROM awaiting_acceptance") == [("erp",)]


async def test_an_order_that_nobody_knows_is_nothing(gateway: Gateway) -> None:
    assert await answer(gateway, word(gateway, gateway.new_id())) == 0
    assert await answer(gateway) == 0


@pytest.mark.parametrize("event", [shipped(), closed("cancelled")], ids=["shipped", "cancelled"])
async def test_answers_and_events_at_once_lose_nothing(
    gateway: Gateway, ledger: Database, event: events.Event
) -> None:
    """Dispatchers lock several orders while intake changes the same ones."""
    ids = [await told_paid(gateway, n) for n in range(12)]

    def later(n: int) -> Any:
        return tell(gateway, msgspec.structs.replace(event, order_no=f"W-{n}"))

    def answers(part: Sequence[UUID], target: str) -> Any:
        return answer(gateway, *[word(gateway, id_, target) for id_ in part])

    done = await at_once(
        [
            answers(ids, "wms"), answers(ids[::-1], "erp"), answers(ids[::2], "wms"),
            *(later(n) for n in range(12)),
        ]
    )  # fmt: skip
    assert not [each for each in done if isinstance(each, BaseException)]
    await asyncio.gather(*(later(n) for n in range(12)))
    stored = await rows(ledger, "orders", "version", "status")
    end = "shipped" if isinstance(event, events.Shipped) else "cancelling"
    assert set(stored) == {(5, end)}
    for (known,) in await rows(ledger, "orders", "acceptances"):
        assert len(msgspec.json.decode(known)) == 2
