"""Two processes on one database: the unique keys decide, and the loser reads the result."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
import redis

from gateway.domain import events, orders
from gateway.domain.following import Done
from gateway.domain.followup_rows import Context
from gateway.domain.placing import Placed
from gateway.runtime.settings import Settings
from gateway.stores.postgres import followups
from gateway.wiring import Gateway
from tests.domain.support import closed, delivered, due, paid, refunded, shipped, submission
from tests.stores.support import (
    Database,
    alone,
    at_once,
    counts,
    gateways,
    order,
    placement,
    reported,
    rows,
    submit,
    tell,
)


class Between:
    """Lets something happen after the next batch has read and before it writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read = followups._read_context
        self._happening: Callable[[], Awaitable[Any]] | None = None
        monkeypatch.setattr(followups, "_read_context", self._read_and_let_happen)

    def reading_and_writing(self, happening: Callable[[], Awaitable[Any]]) -> None:
        self._happening = happening

    async def _read_and_let_happen(self, *arguments: Any) -> Context:
        context = await self._read(*arguments)
        happening, self._happening = self._happening, None
        if happening is not None:
            await happening()
        return context


@pytest.fixture
async def rivals(settings: Settings) -> AsyncIterator[list[Gateway]]:
    """Two gateways that know nothing of each other, without Redis between them."""
    async with gateways(alone(settings), alone(settings)) as opened:
        yield opened


def like(n: int, *, phone: int = 0) -> orders.Submission:
    item = {"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "10"}
    return submission(
        n,
        buyer_id="b",
        items=[item],
        amounts={"goods": "10", "payable": "10", "freight": "0"},
        recipient={"phone": f"1380013800{phone}"},
    )


def answers(outcomes: Sequence[object]) -> list[Placed]:
    assert all(isinstance(each, Placed) for each in outcomes), Counter(map(repr, outcomes))
    return [each for each in outcomes if isinstance(each, Placed)]


async def test_a_hundred_identical_orders_at_the_same_instant_are_one(
    rivals: list[Gateway], ledger: Database
) -> None:
    outcomes = answers(await at_once([submit(rivals[n % 2], due(1), "r-1") for n in range(100)]))
    assert Counter(each.answer for each in outcomes) == {"placed": 1, "replayed": 99}
    assert {each.id for each in outcomes} == {(await rows(ledger, "orders", "id"))[0][0]}
    assert (await counts(ledger))["orders"] == 1


async def test_a_hundred_identical_orders_past_the_sharing_are_still_one(
    rivals: list[Gateway], ledger: Database
) -> None:
    """Each one reaches the ledger by itself, in batches of both processes."""
    sent = [(rivals[n % 2], placement(rivals[n % 2], due(1))) for n in range(100)]
    outcomes = answers(await at_once([gateway.committer.place(each) for gateway, each in sent]))
    assert Counter(each.answer for each in outcomes) == {"placed": 1, "replayed": 99}
    assert len({each.id for each in outcomes}) == 1
    made = await counts(ledger)
    assert (made["orders"], made["order_events"], made["outbox"], made["raw_messages"]) == (
        1,
        1,
        1,
        1,
    )


async def test_one_number_with_different_payloads_at_once_has_one_winner(
    rivals: list[Gateway], ledger: Database
) -> None:
    number = due(1).order_no
    sent = [due(n, order_no=number) for n in range(1, 21)]
    outcomes = answers(await at_once([submit(rivals[n % 2], each) for n, each in enumerate(sent)]))
    assert Counter(each.answer for each in outcomes) == {"placed": 1, "conflict": 19}
    assert len({each.id for each in outcomes}) == 1
    assert (await counts(ledger))["orders"] == 1


async def test_one_request_id_with_different_orders_at_once_has_one_winner(
    rivals: list[Gateway], ledger: Database
) -> None:
    sent = [due(n) for n in range(1, 21)]
    outcomes = answers(
        await at_once([submit(rivals[n % 2], each, "r-1") for n, each in enumerate(sent)])
    )
    assert Counter(each.answer for each in outcomes) == {"placed": 1, "key_reused": 19}
    assert (await counts(ledger))["orders"] == 1


async def test_lookalikes_at_once_are_one_without_request_ids_and_held_with_them(
    rivals: list[Gateway], ledger: Database
) -> None:
    clicks = [submit(rivals[n % 2], like(n)) for n in range(20)]
    outcomes = answers(await at_once(clicks))
    assert Counter(each.answer for each in outcomes) == {"placed": 1, "replayed": 19}
    ordered = [submit(rivals[n % 2], like(n), f"r-{n}") for n in range(100, 110)]
    held = answers(await at_once(ordered))
    # With the first there are eleven of the same goods: the graver rule holds all but two.
    assert Counter((each.answer, each.hold) for each in held) == {
        ("placed", "lookalike"): 2,
        ("placed", "suspected_brushing"): 8,
    }
    assert (await counts(ledger))["orders"] == 11


async def test_the_fourth_order_of_the_same_goods_is_held_even_at_once(
    rivals: list[Gateway], ledger: Database
) -> None:
    """Ten phones, one buyer, one moment, two processes: three pass."""
    ordered = [submit(rivals[n % 2], like(n, phone=n)) for n in range(10)]
    outcomes = answers(await at_once(ordered))
    assert Counter(each.hold for each in outcomes) == {None: 3, "suspected_brushing": 7}
    stored = await rows(ledger, "orders", "hold")
    assert Counter(hold for (hold,) in stored) == {None: 3, "suspected_brushing": 7}


async def test_conflicting_batches_in_opposite_order_end_without_an_error(
    rivals: list[Gateway], ledger: Database
) -> None:
    """Same looks, same numbers, same goods, crosswise: whatever deadlocks is tried again."""
    there = [due(n) for n in range(60)]
    back = [due(n, order_no=due(59 - n).order_no, remark="x") for n in reversed(range(60))]
    for round_ in range(3):
        outcomes = answers(
            await at_once(
                [submit(rivals[0], each, f"{round_}-a-{each.order_no}") for each in there]
                + [submit(rivals[1], each, f"{round_}-b-{each.order_no}") for each in back]
            )
        )
        assert len(outcomes) == 120
    made = await counts(ledger)
    assert made["orders"] == made["order_events"] == made["outbox"] == made["raw_messages"]
    assert made["orders"] == 60


async def test_one_event_sent_to_both_at_once_has_one_effect(
    rivals: list[Gateway], ledger: Database
) -> None:
    await submit(rivals[0], due(1, order_no="W-1"))
    outcomes = await at_once([tell(rivals[n % 2], paid(), "evt_1") for n in range(40)])
    assert Counter(each.outcome for each in outcomes) == {"applied": 1, "repeat": 39}
    stored = await order(ledger)
    assert (stored["status"], stored["version"]) == ("paid", 2)
    made = await counts(ledger)
    assert (made["payments"], made["order_events"], made["outbox"]) == (1, 2, 2)


async def test_one_event_of_an_unknown_order_sent_to_both_at_once_waits_once(
    rivals: list[Gateway], ledger: Database
) -> None:
    """There is no order to lock: the unique key of the history decides."""
    outcomes = await at_once([tell(rivals[n % 2], paid(), "evt_1") for n in range(40)])
    assert Counter(each.outcome for each in outcomes) == {"waiting": 1, "repeat": 39}
    made = await counts(ledger)
    assert (made["payments"], made["waiting"], made["order_events"]) == (1, 1, 1)


async def test_one_payment_under_different_keys_sent_to_both_at_once_is_one_payment(
    rivals: list[Gateway], ledger: Database
) -> None:
    outcomes = await at_once([tell(rivals[n % 2], paid()) for n in range(20)])
    assert all(isinstance(each, Done) for each in outcomes)
    await submit(rivals[0], due(1, order_no="W-1"))
    stored = await order(ledger)
    assert (stored["status"], stored["hold"], stored["paid"]) == ("paid", None, 100)
    made = await counts(ledger)
    assert (made["payments"], made["waiting"], made["parked"]) == (1, 0, 0)


async def test_events_of_many_orders_in_opposite_order_end_without_an_error(
    rivals: list[Gateway], ledger: Database
) -> None:
    numbers = [f"W-{n}" for n in range(40)]
    await at_once([submit(rivals[0], due(n, order_no=no)) for n, no in enumerate(numbers)])
    there = [tell(rivals[0], paid(order_no=no, transaction_id=f"T-{no}"), no) for no in numbers]
    back = [
        tell(rivals[1], refunded(order_no=no, transaction_id=f"T-{no}"), f"r-{no}")
        for no in reversed(numbers)
    ]
    again = [
        tell(rivals[1], paid(order_no=no, transaction_id=f"T-{no}"), no) for no in reversed(numbers)
    ]
    outcomes = await at_once(there + back + again)
    assert all(isinstance(each, Done) for each in outcomes), Counter(map(repr, outcomes))
    stored = await rows(ledger, "orders", "status", "refunded")
    assert Counter(stored) == {("refunded", 100): 40}
    assert (await counts(ledger))["waiting"] == 0


async def deadlocks(opened: Sequence[Gateway], ledger: Database) -> int:
    """Return how many deadlocks the database had to break; each cost a second."""
    for gateway in opened:
        async with AsyncExitStack() as stack:
            pool = gateway.stores.primary
            for _ in range(pool.get_size()):
                connection = await stack.enter_async_context(pool.acquire())
                await connection.execute("SELECT pg_stat_force_next_flush()")
    found = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(await ledger.fetchval(found))


async def test_the_same_events_in_opposite_order_do_not_deadlock(
    rivals: list[Gateway], ledger: Database
) -> None:
    """Batches write the history in one order, so two with the same events queue up, no more."""
    before = await deadlocks(rivals, ledger)
    events = [paid(order_no=f"U-{n}", transaction_id=f"U-{n}") for n in range(200)]
    for round_ in range(10):
        made = [reported(rivals[0], event, f"{round_}-{event.order_no}") for event in events]
        outcomes = await at_once(
            [rivals[0].intake.accept_event(each) for each in made]
            + [rivals[1].intake.accept_event(each) for each in reversed(made)]
        )
        assert all(isinstance(each, Done) for each in outcomes), Counter(map(repr, outcomes))
    assert (await counts(ledger))["waiting"] == 200
    assert await deadlocks(rivals, ledger) == before


async def test_the_same_numbers_in_opposite_order_do_not_deadlock(
    rivals: list[Gateway], ledger: Database
) -> None:
    """Other buyers, so the looks are in another order than the numbers."""
    before = await deadlocks(rivals, ledger)
    for round_ in range(20):
        sent = [
            [due(n, order_no=f"{round_}-{n}", buyer_id=f"{who}-{round_}-{n}") for n in range(100)]
            for who in range(2)
        ]
        outcomes = answers(
            await at_once(
                [submit(rivals[0], each) for each in sent[0]]
                + [submit(rivals[1], each) for each in reversed(sent[1])]
            )
        )
        assert Counter(each.answer for each in outcomes) == {"placed": 100, "conflict": 100}
    assert await deadlocks(rivals, ledger) == before


async def test_a_payment_and_its_order_at_the_same_instant_find_each_other(
    rivals: list[Gateway], ledger: Database
) -> None:
    """Side by side they may miss each other; one sweep later they have not."""
    numbers = [f"W-{n}" for n in range(30)]
    sent = [submit(rivals[0], due(n, order_no=no)) for n, no in enumerate(numbers)]
    told_ = [tell(rivals[1], paid(order_no=no, transaction_id=f"T-{no}")) for no in numbers]
    outcomes = await at_once([each for pair in zip(sent, told_, strict=True) for each in pair])
    assert not [each for each in outcomes if isinstance(each, BaseException)]
    for order_id in await rivals[0].maintenance.orders_to_settle(500):
        await rivals[0].intake.settle(order_id)
    assert Counter(await rows(ledger, "orders", "status", "version")) == {("paid", 2): 30}
    assert (await counts(ledger))["waiting"] == 0


async def test_a_close_and_a_payment_at_the_same_instant_never_lose_the_money(
    rivals: list[Gateway], ledger: Database
) -> None:
    numbers = [f"W-{n}" for n in range(30)]
    await at_once([submit(rivals[0], due(n, order_no=no)) for n, no in enumerate(numbers)])
    await at_once(
        [tell(rivals[0], paid(order_no=no, transaction_id=f"T-{no}")) for no in numbers]
        + [tell(rivals[1], closed(order_no=no)) for no in numbers]
    )
    ends = Counter(await rows(ledger, "orders", "status", "hold", "paid"))
    assert set(ends) <= {("paid", None, 100), ("closed", "refund_owed", 100)}
    assert sum(ends.values()) == 30
    assert (await counts(ledger))["parked"] == 30


async def test_wiping_redis_amid_ten_thousand_duplicates_duplicates_nothing(
    settings: Settings, ledger: Database, valkey: "redis.Redis"
) -> None:
    """100 orders, each sent 100 times through two processes; Redis is wiped again and again."""
    sent = [due(n) for n in range(100)]
    ids: dict[str, set[object]] = {each.order_no: set() for each in sent}
    placed = 0
    async with gateways(settings, settings) as opened:
        for round_ in range(100):
            if round_ % 20 == 10:
                valkey.flushall()
            each_sent = [submit(opened[(n + round_) % 2], each) for n, each in enumerate(sent)]
            for each, outcome in zip(sent, answers(await at_once(each_sent)), strict=True):
                ids[each.order_no].add(outcome.id)
                placed += outcome.answer == "placed"
    assert placed == 100
    assert {len(each) for each in ids.values()} == {1}
    made = await counts(ledger)
    assert (made["orders"], made["order_events"], made["outbox"], made["raw_messages"]) == (
        100,
        100,
        100,
        100,
    )


# --- what is read without the order's lock must not be written over what is newer ---


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    return Between(monkeypatch)


async def placed_beside(gateway: Gateway, ledger: Database) -> UUID:
    """Store order W-1 as one whose placement did not see what waits for it."""
    sent = placement(gateway, due(1, order_no="W-1"))
    return (await gateway.committer.place(sent)).id


async def test_an_early_refund_does_not_unpair_the_payment_that_it_read_too_soon(
    rivals: list[Gateway], ledger: Database, between: Between
) -> None:
    """It names the transaction only, so it locks no order; meanwhile the payment finds its own."""
    await tell(rivals[0], paid())
    order_id = await placed_beside(rivals[0], ledger)
    between.reading_and_writing(lambda: rivals[0].intake.settle(order_id))
    done = await tell(rivals[1], refunded("100", order_no=""))
    assert done.outcome == "waiting"
    assert await rows(ledger, "payments", "standing", "order_id") == [("applied", order_id)]
    for each in await rivals[0].maintenance.orders_to_settle(500):
        await rivals[0].intake.settle(each)
    stored = await order(ledger)
    assert (stored["status"], stored["refunded"]) == ("refunded", 100)
    assert await rows(ledger, "payments", "refunded") == [(100,)]


async def test_a_message_that_names_the_order_late_does_not_unpair_the_payment(
    rivals: list[Gateway], ledger: Database, between: Between
) -> None:
    """Three messages of one transaction: one names no order, one names it before it is there."""
    await tell(rivals[0], paid(order_no=""))

    async def place_and_pay() -> None:
        await placed_beside(rivals[0], ledger)
        await tell(rivals[0], paid())

    between.reading_and_writing(place_and_pay)
    await tell(rivals[1], paid())
    stored = await order(ledger)
    assert (stored["status"], stored["hold"], stored["paid"]) == ("paid", None, 100)
    assert await rows(ledger, "payments", "standing", "order_id") == [("applied", stored["id"])]
    for each in await rivals[0].maintenance.orders_to_settle(500):
        await rivals[0].intake.settle(each)
    made = await counts(ledger)
    assert (made["waiting"], made["parked"], (await order(ledger))["version"]) == (0, 0, 2)


async def test_a_contradiction_read_too_soon_does_not_unpair_the_payment(
    rivals: list[Gateway], ledger: Database, between: Between
) -> None:
    await tell(rivals[0], paid())

    async def place_and_settle() -> None:
        await rivals[0].intake.settle(await placed_beside(rivals[0], ledger))

    between.reading_and_writing(place_and_settle)
    done = await tell(rivals[1], paid("99.99"))
    assert (done.outcome, done.reason) == ("parked", "amount_mismatch")
    stored = await order(ledger)
    assert (stored["status"], stored["version"]) == ("paid", 2)
    assert await rows(ledger, "payments", "standing", "order_id") == [("applied", stored["id"])]


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_everything_through_both_ends_as_a_calm_would(
    rivals: list[Gateway], ledger: Database, seed: int
) -> None:
    """20 orders and all that befalls them, shuffled, repeated, at the same instant."""
    drawn = random.Random(seed)
    numbers = [f"W-{n}" for n in range(20)]
    sent: list[Awaitable[Any]] = []
    for n, no in enumerate(numbers):
        transaction, wrong = f"T-{no}", f"X-{no}"
        befalling: dict[str, events.Event] = {
            "paid": paid(order_no=no, transaction_id=transaction),
            "paid, nameless": paid(order_no="", transaction_id=transaction),
            "part back": refunded("30", order_no="", transaction_id=transaction),
            "shipped": shipped(no),
            "delivered": delivered(no),
            "wrong": paid("90", order_no=no, transaction_id=wrong),
            "wrong back": refunded("90", order_no="", transaction_id=wrong),
        }
        repeated = drawn.choices(list(befalling), k=4)
        for name in [*befalling, *repeated]:
            sent.append(tell(drawn.choice(rivals), befalling[name], f"{no}/{name}"))
        sent += [submit(drawn.choice(rivals), due(n, order_no=no)) for _ in range(2)]
    drawn.shuffle(sent)
    outcomes = await at_once(sent)
    assert not [each for each in outcomes if isinstance(each, BaseException)]
    for _ in range(2):
        for order_id in await rivals[0].maintenance.orders_to_settle(500):
            await rivals[0].intake.settle(order_id)
    ends = await rows(ledger, "orders", "status", "hold", "paid", "refunded")
    assert Counter(ends) == {("completed", None, 190, 120): 20}
    payments = await rows(ledger, "payments", "left(transaction_id, 1)", "refunded")
    assert Counter(payments) == {("T", 30): 20, ("X", 90): 20}
    assert (await counts(ledger))["waiting"] == 0
