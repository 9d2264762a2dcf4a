"""The intake: repeats in flight share one commit, and no caller is left without an answer."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from gateway.domain import orders, placing
from gateway.domain.errors import Invalid, Poisoned, Unavailable
from gateway.domain.following import Done, Settle
from gateway.domain.placing import Placed, Placement, Stock
from gateway.intake import metrics
from gateway.intake.journal_codec import JournaledOrder
from gateway.stores.postgres.errors import BadRow
from loadtest.orders import order
from tests.domain.support import NOW, due, follow_up, new_id, paid, placement
from tests.intake.support import Way, turns
from tests.support.fakes.ledger import answered


def unavailable(part: str) -> float:
    """Return how often this part was counted as the reason of a 503."""
    return float(metrics.UNAVAILABLE.labels(part)._value.get())


async def test_the_very_same_submission_in_flight_is_committed_once() -> None:
    """Of a hundred that come while the first is being committed, one reaches the ledger."""
    way = Way()
    way.ledger.gate.clear()
    asked = [
        asyncio.create_task(way.intake.accept_order(placement(due(1), request_id="r-1")))
        for _ in range(100)
    ]
    await turns()
    way.ledger.gate.set()
    answers = await asyncio.gather(*asked)
    assert [len(batch) for batch in way.ledger.batches] == [1]
    assert len({answer.id for answer in answers}) == 1
    assert [answer.answer for answer in answers] == ["placed", *["replayed"] * 99]


async def test_another_request_id_is_another_submission() -> None:
    way = Way()
    sent = [placement(due(1), request_id=request_id) for request_id in ("r-1", "r-2", None)]
    await asyncio.gather(*[way.intake.accept_order(each) for each in sent])
    assert [list(batch) for batch in way.ledger.batches] == [sent]


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_a_client_that_disconnects_cancels_no_other(who: int) -> None:
    """The first to ask or a later one: the others, and who comes just then, hear the answer."""
    way = Way()
    way.ledger.gate.clear()
    asked = [asyncio.create_task(way.intake.accept_order(placement(due(1)))) for _ in range(4)]
    await turns()
    asked.pop(who).cancel()
    asked += [asyncio.create_task(way.intake.accept_order(placement(due(1)))) for _ in range(2)]
    await turns()
    way.ledger.gate.set()
    answers = await asyncio.gather(*asked)
    assert len({answer.id for answer in answers}) == 1
    assert sum(len(batch) for batch in way.ledger.batches) <= 2
    assert not way.intake._in_flight


async def test_a_rejection_in_flight_is_answered_to_all_as_one() -> None:
    def conflict(entry: Placement) -> Placed:
        return Placed("conflict", entry.id, "web", "W-1", None, "paid", 2)

    way = Way()
    way.ledger.answer = conflict
    way.ledger.gate.clear()
    asked = [asyncio.create_task(way.intake.accept_order(placement(due(1)))) for _ in range(3)]
    await turns()
    way.ledger.gate.set()
    assert {answer.answer for answer in await asyncio.gather(*asked)} == {"conflict"}
    assert way.results.stored == {}


def _by_stock(entry: Placement) -> Placed:
    if entry.stock == "missing":
        return placing.out_of_stock(entry)
    order = entry.submission
    return Placed("placed", entry.id, order.channel, order.order_no, None)


def _of(stock: Stock) -> Placement:
    return msgspec.structs.replace(placement(due(1)), stock=stock)


async def test_an_order_out_of_stock_is_not_shared_in_flight() -> None:
    """Each was checked by itself: the goods may be back, or the inventory may not have answered."""
    way = Way()
    way.ledger.answer = _by_stock
    way.ledger.gate.clear()
    stocks: list[Stock] = ["missing", "checked", "unchecked", "missing"]
    asked = []
    for stock in stocks:
        asked.append(asyncio.create_task(way.intake.accept_order(_of(stock))))
        await turns()
    way.ledger.gate.set()
    answers = [placed.answer for placed in await asyncio.gather(*asked)]
    # The last is a repeat of what is being stored, whatever became of the goods since.
    assert answers == ["out_of_stock", "placed", "replayed", "replayed"]
    assert not way.intake._in_flight


async def test_a_shared_failure_is_raised_to_all_and_counted() -> None:
    def away(_: object) -> Placed:
        raise Unavailable("postgres")

    way = Way()
    way.ledger.answer = away
    before = unavailable("postgres")
    answers = await asyncio.gather(
        *[way.intake.accept_order(placement(due(1))) for _ in range(3)], return_exceptions=True
    )
    assert all(isinstance(answer, Unavailable) for answer in answers)
    assert unavailable("postgres") == before + 3


async def test_after_a_failure_the_same_submission_may_come_again() -> None:
    way = Way(commit_s=0.01)
    way.ledger.gate.clear()
    with pytest.raises(Unavailable):
        await way.intake.accept_order(placement(due(1)))
    way.ledger.gate.set()
    assert (await way.intake.accept_order(placement(due(1)))).answer == "placed"


async def test_when_too_many_wait_the_next_is_rejected_and_counted() -> None:
    way = Way(waiting_max=1)
    way.ledger.gate.clear()
    before = unavailable("committer")
    first = asyncio.create_task(way.intake.accept_order(placement(due(1))))
    event = asyncio.create_task(way.intake.accept_event(follow_up(paid())))
    await turns()
    with pytest.raises(Unavailable):
        await way.intake.accept_order(placement(due(2)))
    with pytest.raises(Unavailable):
        await way.intake.accept_event(follow_up(paid()))
    assert unavailable("committer") == before + 2
    way.ledger.gate.set()
    assert (await first).answer == "placed"
    assert (await event).outcome == "applied"


async def test_what_waited_for_an_order_is_applied_before_its_answer() -> None:
    def had_waiting(entry: Placement | Settle) -> Placed | Done:
        if isinstance(entry, Settle):
            return Done("applied", entry.order_id, None, "paid", 2)
        return Placed("placed", entry.id, "web", "W-1", None, has_waiting=True)

    way = Way()
    way.ledger.answer = had_waiting
    sent = placement(due(1))
    answer = await way.intake.accept_order(sent)
    assert [list(batch) for batch in way.ledger.batches] == [[sent], [Settle(sent.id)]]
    assert (answer.answer, answer.status, answer.version) == ("placed", "pending_payment", 1)


async def test_an_order_is_accepted_even_if_what_waited_for_it_cannot_be_applied_now() -> None:
    def had_waiting(entry: Placement | Settle) -> Placed:
        if isinstance(entry, Settle):
            raise Unavailable("postgres")
        return Placed("placed", entry.id, "web", "W-1", None, has_waiting=True)

    way = Way()
    way.ledger.answer = had_waiting
    assert (await way.intake.accept_order(placement(due(1)))).answer == "placed"


async def test_a_wrong_order_never_reaches_the_ledger() -> None:
    way = Way()
    with pytest.raises(Invalid):
        way.intake.placement(due(1, currency="DEM"), raw=b"", request_id=None, trigger="test")
    assert way.ledger.batches == []


async def test_a_placement_is_made_by_the_channel_it_came_through() -> None:
    way = Way()
    made = way.intake.placement(due(1), raw=b"raw", request_id="r", trigger="api:k")
    assert (made.policy.lookalike, made.trigger, made.request_id) == ("hold", "api:k", "r")
    assert (made.raw, made.phone) == (b"raw", "+8613800000001")


async def test_what_cannot_be_stored_is_answered_with_where_it_was_parked() -> None:
    def bad(entry: object) -> Placed | Done:
        raise BadRow("numeric [22003]")

    way = Way()
    way.ledger.answer = bad
    with pytest.raises(Poisoned) as order:
        await way.intake.accept_order(placement(due(1)))
    with pytest.raises(Poisoned) as event:
        await way.intake.accept_event(follow_up(paid()))
    assert (order.value.parked_id, event.value.parked_id) == ("parked-1", "parked-2")
    assert answered(follow_up(paid())) == Done("applied")


@pytest.mark.parametrize(
    "changes",
    [
        {"recipient": None},
        {"payment": {"provider": "a", "transaction_id": "T", "paid_at": "2026-11-23T02:00:00Z"}},
    ],
)
def test_what_was_acknowledged_stays_accepted_when_its_channel_asks_for_more(
    changes: dict[str, Any],
) -> None:
    """It was journaled under the rules of then, and answered 202."""
    way = Way()
    raw = json.dumps(order(1) | changes).encode()
    with pytest.raises(Invalid):
        way.intake.placement(orders.decode(raw), raw=raw, request_id=None, trigger="test")
    journaled = JournaledOrder(
        id=new_id(), raw=raw, request_id=None, trigger="test", received_at=NOW
    )
    assert way.intake.journaled_placement(journaled).submission == orders.decode(raw)
