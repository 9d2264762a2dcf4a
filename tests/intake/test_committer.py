"""The committer: one bad row falls alone, every wait has a bound, Redis only saves work."""

import asyncio
from typing import Any

import pytest

from gateway.domain.errors import Poisoned, Unavailable
from gateway.domain.following import Done, FollowUp, Settle
from gateway.domain.placing import Placed, Placement
from gateway.intake import metrics
from gateway.stores.postgres.errors import BadRow
from tests.domain.support import due, follow_up, new_id, paid, placement
from tests.intake.support import Way, turns
from tests.support.fakes.ledger import answered
from tests.support.patience import HANG_S


def refusing(*bad: object) -> Any:
    """Return an answer that fails a batch which holds one of the ``bad`` entries."""

    def answer(entry: Placement | FollowUp | Settle) -> Placed | Done:
        if any(entry is each for each in bad):
            raise BadRow("character [22021]")
        return answered(entry)

    return answer


@pytest.mark.parametrize("place", [0, 1, 100, 198, 199])
async def test_one_bad_row_of_200_is_parked_and_199_are_committed(place: int) -> None:
    way = Way(batch_rows_max=200)
    sent = [placement(due(n)) for n in range(200)]
    way.ledger.answer = refusing(sent[place])
    outcomes = await asyncio.gather(
        *[way.committer.place(each) for each in sent], return_exceptions=True
    )
    poisoned = [n for n, each in enumerate(outcomes) if isinstance(each, Poisoned)]
    placed = [each.id for each in outcomes if isinstance(each, Placed)]
    assert poisoned == [place]
    assert placed == [each.id for each in sent if each is not sent[place]]
    assert way.ledger.parked == [(sent[place], "character [22021]")]


async def test_the_culprit_is_found_in_few_steps() -> None:
    """Halving 200 rows down to one takes some sixteen statements, not two hundred."""
    way = Way(batch_rows_max=200)
    sent = [placement(due(n)) for n in range(200)]
    way.ledger.answer = refusing(sent[77])
    await asyncio.gather(*[way.committer.place(each) for each in sent], return_exceptions=True)
    assert len(way.ledger.batches) <= 17


async def test_several_bad_rows_are_each_parked() -> None:
    way = Way(batch_rows_max=50)
    sent = [follow_up(paid(order_no=f"W-{n}")) for n in range(50)]
    bad = sent[::7]
    way.ledger.answer = refusing(*bad)
    outcomes = await asyncio.gather(
        *[way.committer.follow(each) for each in sent], return_exceptions=True
    )
    assert [isinstance(each, Poisoned) for each in outcomes] == [n % 7 == 0 for n in range(50)]
    assert [entry for entry, _ in way.ledger.parked] == bad


async def test_what_is_poisoned_is_not_cached() -> None:
    way = Way()
    bad = placement(due(1))
    way.ledger.answer = refusing(bad)
    with pytest.raises(Poisoned):
        await way.committer.place(bad)
    await way.committer.drain()
    assert way.results.stored == {}


async def test_a_ledger_that_does_not_answer_in_time_is_abandoned() -> None:
    way = Way(commit_s=0.02)
    way.ledger.gate.clear()
    placing, following = way.committer.place(placement(due(1))), way.committer.follow(Settle(NIL))
    for future in (placing, following):
        with pytest.raises(Unavailable):
            await future
    assert way.committer.waiting == 0


async def test_a_ledger_that_ignores_its_cancellation_is_not_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A silent server holds a cancelled statement for as long as it likes; senders go free."""
    way = Way(commit_s=0.02)
    is_held = asyncio.Event()

    async def stubborn(_: Any) -> Any:
        while True:
            try:
                return await is_held.wait()
            except asyncio.CancelledError:
                if is_held.is_set():
                    raise

    monkeypatch.setattr(way.ledger, "_commit", stubborn)
    with pytest.raises(Unavailable):
        async with asyncio.timeout(HANG_S):
            await way.committer.place(placement(due(1)))
    async with asyncio.timeout(HANG_S):
        await way.committer.drain()
    is_held.set()
    await turns()


async def test_the_next_batch_goes_after_one_was_abandoned() -> None:
    way = Way(commit_s=0.02, batches_in_flight=1)
    way.ledger.gate.clear()
    with pytest.raises(Unavailable):
        await way.committer.place(placement(due(1)))
    way.ledger.gate.set()
    assert (await way.committer.place(placement(due(2)))).answer == "placed"


async def test_an_unexpected_error_is_raised_to_the_whole_batch_and_cached_nowhere() -> None:
    def broken(_: object) -> Placed:
        raise ZeroDivisionError

    way = Way()
    way.ledger.answer = broken
    futures = [way.committer.place(placement(due(n))) for n in range(3)]
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(each) for each in outcomes] == [ZeroDivisionError] * 3
    assert way.results.stored == {}


async def test_what_redis_knows_does_not_reach_the_ledger() -> None:
    way = Way()
    sent = [placement(due(n)) for n in range(3)]
    first = await asyncio.gather(*[way.committer.place(each) for each in sent])
    again = [placement(due(n)) for n in range(4)]
    second = await asyncio.gather(*[way.committer.place(each) for each in again])
    assert [len(batch) for batch in way.ledger.batches] == [3, 1]
    assert [each.id for each in second[:3]] == [each.id for each in first]
    assert [each.answer for each in second] == ["replayed"] * 3 + ["placed"]


async def test_a_callback_that_redis_knows_is_a_repeat() -> None:
    way = Way()
    for expected in ("applied", "repeat"):
        done = await way.committer.follow(follow_up(paid(), "evt_1"))
        assert done.outcome == expected
    assert len(way.ledger.batches) == 1
    other_account = follow_up(paid(), "evt_1", source="stripe:other")
    assert (await way.committer.follow(other_account)).outcome == "applied"


async def test_every_repeat_that_redis_answers_is_counted() -> None:
    way = Way()
    repeats = metrics.REPEATS.labels("redis")
    await way.committer.follow(follow_up(paid(), "evt_2"))
    before = repeats._value.get()
    await asyncio.gather(*[way.committer.follow(follow_up(paid(), "evt_2")) for _ in range(3)])
    assert repeats._value.get() - before == 3


@pytest.mark.parametrize("garbage", [b"", b"1", b"\xff" * 40, b"\x93\x01\x02\x03"])
async def test_a_cached_value_that_cannot_be_decoded_is_a_miss(garbage: bytes) -> None:
    """Another version's words, or somebody else's: no batch may fail by them."""
    way = Way()
    sent = placement(due(1))
    way.results.stored[sent.exact] = garbage
    outcomes = await asyncio.gather(*[way.committer.place(p) for p in (placement(due(2)), sent)])
    assert [each.answer for each in outcomes] == ["placed", "placed"]
    await way.committer.drain()
    assert (await way.committer.place(placement(due(1)))).id == sent.id


ANSWERS = [
    (Placed("placed", new_id(), "web", "lt-00000001", None), True),
    (Placed("replayed", new_id(), "web", "lt-00000001", "lookalike"), True),
    (Placed("replayed", new_id(), "web", "another", None), True),
    (Placed("conflict", new_id(), "web", "lt-00000001", None), False),
    (Placed("key_reused", new_id(), "web", "another", None), False),
]


@pytest.mark.parametrize(("answer", "is_kept"), ANSWERS)
async def test_only_answers_that_stay_true_are_cached(answer: Placed, is_kept: bool) -> None:
    """A refusal may change with the order in the way; the number of an alias stays one."""
    way = Way()
    way.ledger.answer = lambda _: answer
    await way.committer.place(placement(due(1)))
    await way.committer.drain()
    assert bool(way.results.stored) == is_kept


async def test_a_drain_waits_until_results_are_cached() -> None:
    way = Way()
    future = way.committer.place(placement(due(1)))
    await way.committer.drain()
    assert future.done()
    assert len(way.results.stored) == 1


NIL = new_id()
