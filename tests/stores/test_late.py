"""Late orders: received while the ledger could not be asked, judged as of when they were."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from gateway.domain import orders
from gateway.domain.channels import LookalikePolicy
from gateway.domain.placing import Placed, Placement
from gateway.runtime.settings import Settings
from gateway.stores.postgres import errors
from gateway.stores.postgres.ledger import Ledger
from gateway.wiring import Gateway
from tests.domain import support
from tests.domain.support import due, submission
from tests.stores.support import Database, alone, at_once, counts, gateways, rows

LIKE: dict[str, Any] = {
    "buyer_id": "b",
    "items": [{"sku": "A", "name": "Tea", "quantity": 1, "unit_price": "10"}],
    "amounts": {"goods": "10", "payable": "10", "freight": "0"},
}


def like(n: int, *, phone: int = 0, **changes: Any) -> orders.Submission:
    """Return order ``n``, of the same goods as all of these; who has its phone looks the same."""
    return submission(n, **LIKE, recipient={"phone": f"1380013800{phone}"}, **changes)


def received(
    sent: orders.Submission,
    then: datetime,
    minute: float,
    request_id: str | None = None,
    policy: LookalikePolicy = "hold",
) -> Placement:
    """Return a placement received so many minutes after the ledger went away."""
    at = then + timedelta(minutes=minute)
    return support.placement(sent, request_id=request_id, policy=policy, received_at=at)


def ledger_of(gateway: Gateway, *, is_late: bool) -> Ledger:
    stores = gateway.stores
    return Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=is_late)


@pytest.fixture
def then() -> datetime:
    """Half an hour ago, when the ledger went away; it came back just now."""
    return datetime.now(UTC) - timedelta(minutes=30)


@pytest.fixture
def late(gateway: Gateway) -> Ledger:
    return ledger_of(gateway, is_late=True)


@pytest.fixture
async def drainers(settings: Settings) -> AsyncIterator[list[Ledger]]:
    """Two drainers that share nothing but the database."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(gateways(alone(settings), alone(settings)))
        yield [ledger_of(gateway, is_late=True) for gateway in opened]


async def place(into: Ledger, *sent: Placement) -> list[Placed]:
    answers = [each for each in await into.place(sent) if isinstance(each, Placed)]
    assert len(answers) == len(sent)
    return answers


async def live(gateway: Gateway, ledger: Database, sent: Placement) -> Placed:
    """Store an order live, then let the time since its arrival pass for its windows too."""
    (placed,) = await place(ledger_of(gateway, is_late=False), sent)
    await ledger.execute(
        "UPDATE fingerprints SET expires_at = $2::timestamptz + interval '10 minutes' "
        "WHERE order_id = $1",
        placed.id,
        sent.received_at,
    )
    await ledger.execute(
        "UPDATE velocity SET recent[cardinality(recent)] = $2 WHERE same_goods = $1",
        sent.same_goods,
        sent.received_at,
    )
    return placed


def described(answers: list[Placed]) -> list[str]:
    return [f"{each.answer} {each.hold}" if each.hold else each.answer for each in answers]


# --- looks ---


@pytest.mark.parametrize("is_one_batch", [True, False], ids=["one batch", "two batches"])
@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0.1, "replayed"),
        (0.2, "placed lookalike"),
        (2, "placed lookalike"),
        (9.99, "placed lookalike"),
        (10, "placed"),
        (11, "placed"),
    ],
)
async def test_look_alikes_are_judged_by_arrival_though_stored_in_one_moment(
    late: Ledger,
    ledger: Database,
    then: datetime,
    minutes: float,
    expected: str,
    is_one_batch: bool,
) -> None:
    sent = [received(like(1), then, 0), received(like(2), then, minutes)]
    if is_one_batch:
        first, second = await place(late, *sent)
    else:
        first, second = [*await place(late, sent[0]), *await place(late, sent[1])]
    assert described([first, second]) == ["placed", expected]
    assert (second.id == first.id) is (expected == "replayed")
    assert (await counts(ledger))["orders"] == (1 if expected == "replayed" else 2)


async def test_a_live_ledger_takes_what_it_stores_in_one_moment_for_one(
    gateway: Gateway, ledger: Database, then: datetime
) -> None:
    """What the late one must not do: here it is the time of storing that counts."""
    real = ledger_of(gateway, is_late=False)
    assert described(
        await place(real, received(like(1), then, 0), received(like(2), then, 11))
    ) == [
        "placed",
        "replayed",
    ]


@pytest.mark.parametrize("is_purged", [False, True], ids=["expired", "purged"])
async def test_the_like_of_an_order_stored_live_before_the_outage_is_known_after_it(
    gateway: Gateway, late: Ledger, ledger: Database, then: datetime, is_purged: bool
) -> None:
    first = await live(gateway, ledger, received(like(1), then, -0.05))
    if is_purged:
        assert await gateway.maintenance.delete_expired_windows() > 0
    second, third = await place(late, received(like(2), then, 0.1), received(like(3), then, 1))
    assert (second.answer, second.id) == ("replayed", first.id)
    assert (third.answer, third.hold) == ("placed", "lookalike")
    assert (await counts(ledger))["orders"] == 2


async def test_a_later_live_look_alike_keeps_its_window(
    gateway: Gateway, late: Ledger, ledger: Database, then: datetime
) -> None:
    await live(gateway, ledger, received(like(1), then, 30))
    before = await looks(ledger)
    assert described(await place(late, received(like(2), then, 0))) == ["placed"]
    assert described(await place(late, received(like(3), then, 0.1))) == ["replayed"]
    assert await looks(ledger) == before
    (again,) = await place(ledger_of(gateway, is_late=False), received(like(4), then, 30))
    assert (again.answer, again.id) == ("replayed", before[0][0])
    assert (await counts(ledger))["orders"] == 2


async def test_a_later_order_does_not_hide_the_one_before_the_outage(
    gateway: Gateway, late: Ledger, ledger: Database, then: datetime
) -> None:
    """The fingerprint was taken over since: it is the orders that tell."""
    first = await live(gateway, ledger, received(like(1), then, -0.05))
    await live(gateway, ledger, received(like(2), then, 30))
    (third,) = await place(late, received(like(3), then, 0.1))
    assert (third.answer, third.id) == ("replayed", first.id)


async def test_a_click_stored_live_before_the_click_before_it_is_drained_is_the_order(
    gateway: Gateway, late: Ledger, ledger: Database, then: datetime
) -> None:
    second = await live(gateway, ledger, received(like(2), then, 26.1))
    (first,) = await place(late, received(like(1), then, 26))
    assert (first.answer, first.id) == ("replayed", second.id)


@pytest.mark.parametrize(
    ("minute", "expected"),
    [(29.95, "replayed"), (25, "placed lookalike"), (15, "placed")],
)
async def test_a_late_order_is_known_to_the_live_ledger_for_ten_minutes_from_its_arrival(
    gateway: Gateway, late: Ledger, then: datetime, minute: float, expected: str
) -> None:
    await place(late, received(like(1), then, minute))
    real = ledger_of(gateway, is_late=False)
    assert described(await place(real, received(like(2), then, 30))) == [expected]


async def test_a_clock_far_ahead_stretches_no_window(
    late: Ledger, ledger: Database, then: datetime
) -> None:
    await place(late, received(like(1), then, 25 * 60))
    left = await ledger.fetchval("SELECT max(expires_at) - now() FROM fingerprints")
    assert left <= timedelta(minutes=10)
    assert await ledger.fetchval("SELECT max(recent[1]) <= now() FROM velocity")


async def test_each_channels_policy_holds_for_late_looks(
    late: Ledger, ledger: Database, then: datetime
) -> None:
    """Who was held opens no window: the fifth comes after that of the first."""
    sent = [
        received(like(1), then, 0, "r-1"),
        received(like(2), then, 1, "r-2"),
        received(like(3), then, 2, "r-3", "replay"),
        received(like(4), then, 9, "r-4"),
        received(like(5), then, 12),
    ]
    answers = await place(late, *sent)
    assert described(answers) == [
        "placed",
        "placed lookalike",
        "replayed",
        "placed lookalike",
        "placed",
    ]
    assert answers[2].id == answers[0].id
    assert described(await place(late, *sent)) == [
        "replayed", "replayed lookalike", "replayed", "replayed lookalike", "replayed",
    ]  # fmt: skip
    assert (await counts(ledger))["orders"] == 4


async def test_looks_beside_a_later_order_are_judged_in_their_order(
    gateway: Gateway, late: Ledger, ledger: Database, then: datetime
) -> None:
    await live(gateway, ledger, received(like(9), then, 30))
    answers = await place(late, *[received(like(n), then, n / 20) for n in (1, 2, 3)])
    assert described(answers) == ["placed", "replayed", "replayed"]
    assert {each.id for each in answers} == {answers[0].id}


async def looks(ledger: Database) -> list[tuple[Any, ...]]:
    found = await ledger.fetch("SELECT order_id, expires_at FROM fingerprints ORDER BY expires_at")
    return [tuple(row) for row in found]


# --- velocity ---


def spread(then: datetime, *minutes: float) -> list[Placement]:
    """Return orders of one buyer and the same goods, received at these minutes; each looks new."""
    return [received(like(n, phone=n), then, at) for n, at in enumerate(minutes)]


HELD = "placed suspected_brushing"


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ((0, 20, 40, 60), ["placed"] * 4),
        ((0, 1, 2, 5), ["placed"] * 4),
        ((0, 1, 2, 4), ["placed"] * 3 + [HELD]),
        ((0, 1, 2, 3, 4), ["placed"] * 3 + [HELD] * 2),
        ((0, 1, 2, 30, 31, 32, 33), ["placed"] * 6 + [HELD]),
        # Streams are drained side by side: whichever makes four is held.
        ((3, 1, 4, 2), ["placed"] * 3 + [HELD]),
        ((33, 1, 32, 31, 2, 3, 4), ["placed"] * 6 + [HELD]),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_one_batch", [True, False], ids=["one batch", "one by one"])
async def test_the_same_goods_are_counted_by_arrival(
    late: Ledger, then: datetime, minutes: tuple[float, ...], expected: list[str],
    is_one_batch: bool,
) -> None:  # fmt: skip
    sent = spread(then - timedelta(hours=1), *minutes)
    if is_one_batch:
        answers = await place(late, *sent)
    else:
        answers = [each for one in sent for each in await place(late, one)]
    assert described(answers) == expected


async def test_orders_of_after_the_outage_neither_hide_nor_make_a_rush_during_it(
    gateway: Gateway, late: Ledger, then: datetime
) -> None:
    real = ledger_of(gateway, is_late=False)
    after = [received(like(10 + n, phone=n), then, 30) for n in range(3)]
    assert described(await place(real, *after)) == ["placed"] * 3
    during = [received(like(20 + n, phone=n), then, n / 2) for n in range(4)]
    assert described(await place(late, *during)) == ["placed"] * 3 + [HELD]
    fourth = received(like(30, phone=5), then, 30)
    assert described(await place(real, fourth)) == [HELD]


async def test_orders_of_the_outage_do_not_count_beside_live_ones(
    gateway: Gateway, late: Ledger, then: datetime
) -> None:
    await place(late, *spread(then, 0, 1, 2))
    real = ledger_of(gateway, is_late=False)
    live_ones = [received(like(10 + n, phone=5 + n), then, 30) for n in range(4)]
    assert described(await place(real, *live_ones)) == ["placed"] * 3 + [HELD]


async def test_however_many_of_the_same_goods_a_bounded_number_of_times_is_stored(
    late: Ledger, ledger: Database, then: datetime
) -> None:
    sent = [received(like(n, phone=n % 10), then, n * 11 - 500) for n in range(40)]
    await place(late, *sent)
    kept = "SELECT recent, (SELECT array_agg(t ORDER BY t) FROM unnest(recent) t) FROM velocity"
    recent, ordered = await ledger.fetchrow(kept) or ((), ())
    assert len(recent) == 16
    assert recent == ordered == [each.received_at for each in sent[-16:]]


# --- the same entry again ---


async def test_an_entry_drained_twice_is_one_order(
    late: Ledger, ledger: Database, then: datetime
) -> None:
    sent = received(like(1), then, 0)
    (first,) = await place(late, sent)
    (second,) = await place(late, sent)
    assert (first.answer, second.answer, first.id, second.id) == (
        "placed", "replayed", sent.id, sent.id,
    )  # fmt: skip
    third, fourth = await place(late, received(like(2, phone=2), then, 1), sent)
    assert (third.answer, fourth.answer, fourth.id) == ("placed", "replayed", sent.id)
    assert (await counts(ledger))["orders"] == 2
    assert await ledger.fetchval("SELECT max(cardinality(recent)) FROM velocity") == 2


async def test_an_entry_twice_in_a_batch_is_one_order(
    late: Ledger, ledger: Database, then: datetime
) -> None:
    sent = received(like(1), then, 0)
    assert described(await place(late, sent, sent)) == ["placed", "replayed"]
    assert (await counts(ledger))["orders"] == 1


async def test_entries_drained_by_two_at_once_are_stored_once(
    drainers: list[Ledger], ledger: Database, then: datetime
) -> None:
    sent = [received(due(n), then, n / 10) for n in range(100)]
    for _ in range(3):
        outcomes = await asyncio.gather(place(drainers[0], *sent), place(drainers[1], *sent[::-1]))
        assert {each.id for answers in outcomes for each in answers} == {each.id for each in sent}
    made = await counts(ledger)
    assert (made["orders"], made["order_events"], made["outbox"], made["raw_messages"]) == (
        100, 100, 100, 100,
    )  # fmt: skip


async def test_one_entry_drained_by_two_at_once_has_one_answer_of_each_kind(
    drainers: list[Ledger], ledger: Database, then: datetime
) -> None:
    for n in range(20):
        sent = received(due(n), then, 0)
        outcomes = await at_once([place(each, sent) for each in drainers])
        assert Counter((one.answer, one.id) for (one,) in outcomes) == {
            ("placed", sent.id): 1,
            ("replayed", sent.id): 1,
        }
    assert (await counts(ledger))["orders"] == 20


@pytest.mark.parametrize("has_later", [False, True], ids=["alone", "beside a later order"])
async def test_looks_drained_by_two_at_once_are_one_order(
    gateway: Gateway, drainers: list[Ledger], ledger: Database, then: datetime, has_later: bool
) -> None:
    """The claim of the fingerprint decides, or its lock where a later order has it."""
    if has_later:
        await live(gateway, ledger, received(like(1000), then, 30))
    clicks = [received(like(n), then, n / 200) for n in range(20)]
    outcomes = await at_once([place(drainers[n % 2], each) for n, each in enumerate(clicks)])
    assert Counter(one.answer for (one,) in outcomes) == {"placed": 1, "replayed": 19}
    assert len({one.id for (one,) in outcomes}) == 1
    assert (await counts(ledger))["orders"] == 1 + has_later


async def test_the_fourth_of_the_same_goods_is_held_even_when_two_drain_at_once(
    drainers: list[Ledger], then: datetime
) -> None:
    sent = spread(then, *[n / 10 for n in range(10)])
    outcomes = await at_once([place(drainers[n % 2], each) for n, each in enumerate(sent)])
    assert Counter(one.hold for (one,) in outcomes) == {None: 3, "suspected_brushing": 7}


# --- orders that the ledger knew ---


async def test_a_number_stored_under_another_id_returns_that_id(
    gateway: Gateway, late: Ledger, ledger: Database, then: datetime
) -> None:
    before = await live(gateway, ledger, received(due(1), then, -60))
    same, other = received(due(1), then, 0), received(due(1, remark="x"), then, 1)
    answers = await place(late, same, other)
    assert [(each.answer, each.id) for each in answers] == [
        ("replayed", before.id),
        ("conflict", before.id),
    ]
    assert await rows(ledger, "orders", "id") == [(before.id,)]


async def test_a_request_id_known_from_before_the_outage_decides(
    gateway: Gateway, late: Ledger, ledger: Database, then: datetime
) -> None:
    before = await live(gateway, ledger, received(due(1), then, -60, "r-1"))
    answers = await place(late, received(due(1), then, 0, "r-1"), received(due(2), then, 0, "r-1"))
    assert [(each.answer, each.id) for each in answers] == [
        ("replayed", before.id),
        ("key_reused", before.id),
    ]


async def test_what_is_rejected_late_is_not_counted_as_an_order(
    late: Ledger, then: datetime
) -> None:
    await place(late, received(like(1), then, 0))
    rejected = [received(like(1, phone=n), then, n / 10) for n in range(1, 5)]
    assert described(await place(late, *rejected)) == ["conflict"] * 4
    assert described(await place(late, received(like(2, phone=5), then, 1))) == ["placed"]


async def test_a_bad_row_spoils_its_batch_before_anything_is_stored(
    late: Ledger, ledger: Database, then: datetime
) -> None:
    """The committer halves the batch until it stands alone."""
    good = received(like(1), then, 0)
    with pytest.raises(errors.BadRow):
        await late.place([good, bad(due(2), then)])
    assert (await counts(ledger))["orders"] == 0
    assert described(await place(late, good)) == ["placed"]


async def test_a_bad_row_that_looks_like_another_is_answered_alone(
    late: Ledger, ledger: Database, then: datetime
) -> None:
    good = received(like(1), then, 0)
    first, second = await late.place([good, bad(like(2), then)])
    assert isinstance(first, Placed)
    assert isinstance(second, errors.BadRow)
    assert await rows(ledger, "orders", "id") == [(good.id,)]


def bad(sent: orders.Submission, then: datetime) -> Placement:
    """Return a placement whose number no database takes."""
    return received(msgspec.structs.replace(sent, order_no="x\0"), then, 1)
