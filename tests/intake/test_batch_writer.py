"""What Postgres does not take in time goes to the fallback; what says nothing of it does not."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from gateway.domain.errors import Poisoned, TidegateError, Unavailable
from gateway.domain.following import Done, FollowUp, Settle
from gateway.domain.placing import Placed, Placement
from gateway.stores.postgres.errors import BadRow
from tests.domain.support import due, follow_up, new_id, paid, placement
from tests.intake.support import Way, turns
from tests.support.fakes.ledger import answered

_NUMBERS = itertools.count()


class ScriptedFallback:
    """Stores what it is given and reports it, unless it is set unusable."""

    def __init__(self) -> None:
        self.is_usable = True
        self.kept: list[Any] = []

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed | BaseException]:
        self.kept += batch
        return [msgspec.structs.replace(_placed(entry), is_journaled=True) for entry in batch]

    async def follow(self, batch: Sequence[FollowUp]) -> Sequence[Done | BaseException]:
        self.kept += batch
        return [Done("journaled") for _ in batch]


def _placed(entry: Placement) -> Placed:
    placed = answered(entry)
    assert isinstance(placed, Placed)
    return placed


def _raise(error: BaseException) -> Any:
    def answer(_: object) -> Any:
        raise error

    return answer


@pytest.fixture
def fallback() -> ScriptedFallback:
    return ScriptedFallback()


@pytest.fixture
def way(fallback: ScriptedFallback) -> Way:
    return Way(fallback=fallback, journal_after_s=0.05)


async def test_what_the_ledger_can_not_take_is_journaled(
    way: Way, fallback: ScriptedFallback
) -> None:
    way.ledger.answer = _raise(Unavailable("postgres"))
    order, event = _order(), _event()
    assert (await way.intake.accept_order(order)).is_journaled
    assert await way.intake.accept_event(event) == Done("journaled")
    assert fallback.kept == [order, event]


async def test_a_batch_past_its_deadline_is_journaled(way: Way, fallback: ScriptedFallback) -> None:
    way.ledger.gate.clear()
    order = _order()
    assert (await way.intake.accept_order(order)).is_journaled
    assert fallback.kept == [order]


async def test_what_is_out_of_stock_is_never_journaled(
    way: Way, fallback: ScriptedFallback
) -> None:
    way.ledger.answer = _raise(Unavailable("postgres"))
    missing = msgspec.structs.replace(_order(), stock="missing")
    order = _order()
    answers = await asyncio.gather(
        way.intake.accept_order(missing), way.intake.accept_order(order), return_exceptions=True
    )
    assert isinstance(answers[0], Unavailable)
    assert fallback.kept == [order]


async def test_without_a_usable_journal_it_is_rejected(
    way: Way, fallback: ScriptedFallback
) -> None:
    fallback.is_usable = False
    way.ledger.answer = _raise(Unavailable("postgres"))
    with pytest.raises(Unavailable):
        await way.intake.accept_order(_order())
    assert fallback.kept == []


async def test_a_settle_is_left_to_the_sweeper(way: Way, fallback: ScriptedFallback) -> None:
    way.ledger.answer = _raise(Unavailable("postgres"))
    with pytest.raises(Unavailable):
        await way.intake.settle(new_id())
    assert fallback.kept == []


async def test_an_open_breaker_does_not_ask_until_its_pause_is_over(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    way.ledger.answer = _raise(Unavailable("postgres"))
    for _ in range(2):
        await way.intake.accept_order(_order())
    asked = len(way.ledger.batches)
    assert (await way.intake.accept_order(_order())).is_journaled
    assert len(way.ledger.batches) == asked
    way.ledger.answer = answered
    way.clock.at_s += 0.6
    assert not (await way.intake.accept_order(_order())).is_journaled
    # In words that need no knowledge of breakers.
    assert caplog.messages[:2] == [
        "postgres: commits fail, and none is tried for a while",
        "postgres: a few commits are tried",
    ]


@pytest.mark.parametrize("error", [BadRow("out of range"), TidegateError("contended")])
async def test_bad_data_and_contention_never_open_the_breaker(
    way: Way, fallback: ScriptedFallback, error: TidegateError
) -> None:
    way.ledger.answer = _raise(error)
    for _ in range(10):
        with pytest.raises((Poisoned, TidegateError)):
            await way.intake.accept_order(_order())
    way.ledger.answer = answered
    assert not (await way.intake.accept_order(_order())).is_journaled
    assert fallback.kept == []


async def test_clients_that_hang_up_never_open_the_breaker(
    way: Way, fallback: ScriptedFallback
) -> None:
    for _ in range(10):
        way.ledger.gate.clear()
        waiting = asyncio.ensure_future(way.intake.accept_order(_order()))
        await turns()
        waiting.cancel()
        way.ledger.gate.set()
        await turns()
    assert not (await way.intake.accept_order(_order())).is_journaled
    assert fallback.kept == []


async def test_too_long_a_queue_is_journaled(fallback: ScriptedFallback) -> None:
    way = Way(fallback=fallback, journal_queue=5, batch_rows_max=4, batches_in_flight=1)
    waiting = [asyncio.ensure_future(way.intake.accept_order(_order())) for _ in range(12)]
    answers = await asyncio.gather(*waiting)
    assert 0 < sum(answer.is_journaled for answer in answers) == len(fallback.kept) < 12


async def test_a_drain_reaches_the_ledger_whatever_redis_remembers() -> None:
    way = Way(is_draining=True)
    order = _order()
    remembered = msgspec.structs.replace(_placed(order), answer="replayed", is_journaled=True)
    way.results.stored[order.exact] = msgspec.msgpack.encode(remembered)
    assert not (await way.intake.accept_order(order)).is_journaled
    assert way.ledger.batches == [[order]]


async def test_a_mixed_batch_keeps_its_order(way: Way, fallback: ScriptedFallback) -> None:
    way.ledger.answer = _raise(Unavailable("postgres"))
    settle = asyncio.ensure_future(way.committer.follow(Settle(new_id())))
    sent = _event()
    event = asyncio.ensure_future(way.committer.follow(sent))
    assert await event == Done("journaled")
    with pytest.raises(Unavailable):
        await settle
    assert fallback.kept == [sent]


def _order() -> Placement:
    return placement(due(next(_NUMBERS)))


def _event() -> FollowUp:
    return follow_up(paid(order_no=f"W-{next(_NUMBERS)}"))
