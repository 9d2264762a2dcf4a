"""What people did while Postgres was away is done, or refused, when its turn comes."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from gateway.domain import events
from gateway.domain.asking import Action
from gateway.domain.errors import Unavailable
from gateway.domain.following import Done
from gateway.runtime.settings import Settings
from gateway.web.handlers import action_answers
from tests.domain.support import NOW, paid
from tests.domain.test_views import stored
from tests.stores.support import Database, order, submit, tell
from tests.stores.test_actions import do
from tests.workers.outage import Outage, numbered, outage_of

HELD = events.HeldByPerson("W-1", "look", NOW)


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    async with outage_of(settings) as started:
        yield started


async def history(ledger: Database, action: str) -> list[tuple[Any, ...]]:
    rows = await ledger.fetch(
        "SELECT outcome, reason, actor FROM order_events WHERE action = $1 ORDER BY id", action
    )
    return [tuple(row) for row in rows]


async def test_an_action_is_journaled_and_done_once(outage: Outage, ledger: Database) -> None:
    gateway = outage.gateway
    placed = await submit(gateway, numbered(1))
    outage.cable.cut()
    for _ in range(2):
        done = await do(gateway, HELD, "hold", "k-1", order_id=placed.id)
        assert done.status is None, "nothing newer is known"
    other = await do(gateway, HELD, "hold", "k-1", order_id=placed.id, digest="another")
    assert other.refusal is not None
    assert other.refusal.kind == "key_reused"
    await outage.mend()
    await outage.drained()
    assert (await order(ledger, "W-1"))["hold"] == "by_person"
    assert await history(ledger, "held") == [("applied", None, "Li Wei (key k)")]
    again = await do(gateway, HELD, "hold", "k-1", order_id=placed.id)
    assert (again.outcome, again.version, again.hold) == ("repeat", 2, "by_person")


async def test_an_address_is_journaled_with_its_message(outage: Outage, ledger: Database) -> None:
    gateway = outage.gateway
    placed = await submit(gateway, numbered(1))
    outage.cable.cut()
    event = events.AddressChanged("W-1", ("city",), NOW)
    raw = json.dumps({"reason": "they moved", "city": "Ningbo"}).encode()
    await do(gateway, event, "address", "k-1", order_id=placed.id, raw=raw)
    await outage.mend()
    await outage.drained()
    assert (await order(ledger, "W-1"))["city"] == "Ningbo"


@pytest.mark.parametrize(
    ("event", "name", "version"),
    [
        (events.Reopened("W-1", "they want it", NOW), "reopen", None),
        (HELD, "hold", 7),
    ],
)
async def test_what_is_not_allowed_by_then_is_parked_and_in_the_history(
    outage: Outage, ledger: Database, event: events.Event, name: Action, version: int | None
) -> None:
    gateway = outage.gateway
    placed = await submit(gateway, numbered(1))
    outage.cable.cut()
    await do(gateway, event, name, "k-1", order_id=placed.id, version=version)
    await outage.mend()
    await outage.drained()
    action = events.action(event)
    assert await history(ledger, action) == [("parked", "action_refused", "Li Wei (key k)")]
    (parked,) = await ledger.fetch("SELECT reason, order_id FROM parked")
    assert tuple(parked) == ("action_refused", placed.id)
    assert (await order(ledger, "W-1"))["version"] == 1


async def test_what_must_come_first_may_be_journaled_too(outage: Outage, ledger: Database) -> None:
    gateway = outage.gateway
    placed = await submit(gateway, numbered(1))
    outage.cable.cut()
    shipped = events.Shipped("W-1", "SF", "SF-1", NOW)
    await do(gateway, shipped, "ship", "k-1", order_id=placed.id)
    await tell(gateway, paid(order_no="W-1", amount=numbered(1).amounts.payable))
    await outage.mend()
    await outage.drained()
    stored_order = await order(ledger, "W-1")
    assert (stored_order["status"], stored_order["tracking_no"]) == ("shipped", "SF-1")


async def test_what_is_only_tried_is_never_journaled(outage: Outage) -> None:
    gateway = outage.gateway
    placed = await submit(gateway, numbered(1))
    outage.cable.cut()
    with pytest.raises(Unavailable):
        await do(gateway, HELD, "hold", "k-1", order_id=placed.id, is_trial=True)
    assert await outage.waiting() == 0


@pytest.mark.parametrize(
    ("done", "status", "outcome", "version"),
    [
        (Done("applied", UUID(int=1), status="paid", version=3), 200, "applied", 3),
        (Done("repeat", UUID(int=1), status="paid", version=3), 200, "applied", 3),
        (Done("journaled"), 202, "journaled", 2),
        (Done("repeat"), 202, "journaled", 2),
    ],
)
def test_only_what_is_committed_is_answered_200(
    done: Done, status: int, outcome: str, version: int
) -> None:
    answer = action_answers.answer(stored(hold="lookalike"), done, is_keyed=True)
    found = json.loads(answer.body)
    assert (answer.status, found["outcome"], found["version"]) == (status, outcome, version)
    assert ("Replayed" in answer.head) is (done.outcome == "repeat")
