"""The change feed: whoever follows it is told of every change, whatever commits meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import asyncpg
import pytest

from gateway.runtime.settings import Settings
from gateway.stores.postgres import change_feed
from gateway.stores.postgres.change_feed import MARGIN, ChangeFeed, ChangePage, ChangesNotKept
from gateway.stores.postgres.relay import OutboxRow, RelayStore
from gateway.stores.postgres.replicas import Answer, Readers
from gateway.wiring import Gateway
from ops.embedded.cluster import Servers
from tests.domain.support import NOW, due, paid
from tests.stores.support import Database, submit, tell
from tests.stores.test_readers import paused_replay
from tests.support.patience import HANG_S, until


async def relay(ledger: Database) -> None:
    """Move all that is in the outbox into the feed, as a worker does."""
    store = RelayStore(pool=ledger)
    while await ledger.fetchval("SELECT 1 FROM outbox LIMIT 1"):
        await store.move(1000, _nobody)


def _nobody(row: OutboxRow) -> Sequence[str]:
    return ()


#: Append one row of the outbox, the first or the last, without the lock of a relay.
_APPEND = """
INSERT INTO order_changes
SELECT nextval('order_changes_position'), order_id, version, topic, id, created_at, now()
  FROM outbox WHERE position = (SELECT {}(position) FROM outbox)
"""


class Pooled:
    """Reads from one server, however far that is."""

    def __init__(self, pool: Database) -> None:
        self._pool = pool

    async def read(self, work: Any) -> Answer[Any]:
        async with self._pool.acquire() as connection:
            return Answer(await work(connection))


def feed_of(gateway: Gateway, pool: "Database | None" = None) -> ChangeFeed:
    readers = gateway.readers if pool is None else cast(Readers, Pooled(pool))
    return ChangeFeed(readers=readers, sealer=gateway.stores.sealer)


@pytest.fixture
async def replica(settings: Settings) -> AsyncIterator[Database]:
    pool = await asyncpg.create_pool(settings.replica_urls, min_size=1, max_size=2)
    yield pool
    pool.terminate()


async def page(
    feed: ChangeFeed, after: int, limit: int = 50, channels: Sequence[str] | None = None
) -> ChangePage:
    read = await feed.page(after=after, channels=channels, is_test=False, limit=limit)
    return read.value


def told(page: ChangePage) -> list[tuple[str, int]]:
    return [(order.order_no, order.version) for order, _ in page.orders]


async def end(ledger: Database) -> int:
    """Return the last position of the feed, whatever earlier tests left of its sequence."""
    return int(
        await ledger.fetchval(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM order_changes_position"
        )
    )


async def test_each_page_tells_every_order_once_in_its_state_now(
    gateway: Gateway, ledger: Database
) -> None:
    before, feed = await end(ledger), feed_of(gateway)
    for n in range(5):
        await submit(gateway, due(n, order_no=f"W-{n}"))
    await relay(ledger)
    await tell(gateway, paid(order_no="W-1"))
    first = await page(feed, before, limit=3)
    # The payment is not in the feed yet, and the state is that of now all the same.
    assert (told(first), first.is_last) == ([("W-0", 1), ("W-1", 2), ("W-2", 1)], False)
    second = await page(feed, first.reached, limit=3)
    assert (told(second), second.is_last) == ([("W-3", 1), ("W-4", 1)], True)
    nothing = await page(feed, second.reached)
    assert (told(nothing), nothing.reached, nothing.is_last) == ([], second.reached, True)
    await relay(ledger)
    await tell(gateway, paid(order_no="W-3", transaction_id="T-3"))
    await relay(ledger)
    third = await page(feed, nothing.reached)
    assert (told(third), third.is_last) == ([("W-1", 2), ("W-3", 2)], True)
    (_, details), _ = third.orders
    assert [payment.transaction_id for payment in details.payments] == ["T-1"]
    # All of it at once: each order by its first change.
    whole = await page(feed, before)
    assert [number for number, _ in told(whole)] == ["W-0", "W-1", "W-2", "W-3", "W-4"]


async def test_a_page_ends_where_changes_of_others_do_not_hide_its_own(
    gateway: Gateway, ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page reads a bounded part of the feed: it may be empty, and still leads on."""
    monkeypatch.setattr(change_feed, "SCAN_MAX", 4)
    after, feed = await end(ledger), feed_of(gateway)
    for n in range(9):
        await submit(gateway, due(n, order_no=f"W-{n}", channel="app" if n == 8 else "web"))
    await relay(ledger)
    pages = []
    for _ in range(3):
        pages.append(await page(feed, after, channels=["app"]))
        after = pages[-1].reached
    assert [(told(each), each.is_last) for each in pages] == [
        ([], False),
        ([], False),
        ([("W-8", 1)], True),
    ]


async def test_whoever_follows_hears_of_every_change_while_all_is_in_motion(
    gateway: Gateway, ledger: Database, replica: Database
) -> None:
    """Writers, two relays, and a follower who reads now from the one server, now from the other."""
    position = await end(ledger)
    sources = [feed_of(gateway), feed_of(gateway, ledger), feed_of(gateway, replica)]
    chance = random.Random(17)
    heard: dict[str, int] = {}
    is_written = asyncio.Event()

    async def write(first: int) -> None:
        for n in range(first, first + 40):
            await submit(gateway, due(n, order_no=f"W-{n}"))
            await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))

    async def relays() -> None:
        while not is_written.is_set():
            await RelayStore(pool=ledger).move(chance.randint(1, 7), _nobody)
        await relay(ledger)

    async def follow(position: int) -> int:
        while True:
            is_over = is_written.is_set() and not await ledger.fetchval("SELECT 1 FROM outbox")
            source = sources[0] if is_over else chance.choice(sources)
            read = await page(source, position, limit=chance.randint(1, 9))
            assert read.reached >= position
            position = read.reached
            heard.update(told(read))
            if is_over and read.is_last:
                return position

    async with asyncio.timeout(HANG_S), asyncio.TaskGroup() as group:
        following = group.create_task(follow(position))
        for _ in range(2):
            group.create_task(relays())
        async with asyncio.TaskGroup() as writing:
            for first in range(0, 160, 40):
                writing.create_task(write(first))
        is_written.set()
    assert heard == {f"W-{n}": 2 for n in range(160)}
    assert following.result() == await end(ledger)


async def test_a_position_drawn_before_its_commit_would_be_missed(
    gateway: Gateway, ledger: Database
) -> None:
    """A control: with two relays at once, which its lock forbids, the same follower hears less."""
    feed = feed_of(gateway, ledger)
    await submit(gateway, due(0))
    await relay(ledger)
    position = await end(ledger)
    for n in (1, 2):
        await submit(gateway, due(n, order_no=f"W-{n}"))
    slow = await asyncpg.connect(ledger._connect_args[0])
    try:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(_APPEND.format("min"))
        await ledger.execute(_APPEND.format("max"))
        early = await page(feed, position)
        await transaction.commit()
    finally:
        await slow.close()
    late = await page(feed, early.reached)
    assert (told(early), told(late)) == ([("W-2", 1)], [])


async def test_a_replica_that_lags_has_the_beginning_and_leads_on_later(
    servers: Servers, gateway: Gateway, ledger: Database, replica: Database
) -> None:
    before, here, there = await end(ledger), feed_of(gateway, ledger), feed_of(gateway, replica)
    await submit(gateway, due(1, order_no="W-1"))
    await relay(ledger)
    reached = (await page(here, before)).reached

    async def has_it() -> bool:
        return (await page(there, before)).reached == reached

    await until(has_it)
    async with paused_replay(servers):
        await submit(gateway, due(2, order_no="W-2"))
        await relay(ledger)
        ahead = await page(here, before)
        behind = await page(there, before)
        # Asked for what comes after all that it has, it says so, and does not lead back.
        beyond = await page(there, ahead.reached)
    assert (told(ahead), told(behind)) == ([("W-1", 1), ("W-2", 1)], [("W-1", 1)])
    assert behind.reached == reached
    assert (told(beyond), beyond.reached) == ([], ahead.reached)

    async def leads_on() -> bool:
        return told(await page(there, behind.reached)) == [("W-2", 1)]

    await until(leads_on)


# --- where to begin ---


async def _changes(ledger: Database, *minutes: int) -> list[int]:
    """Write changes of one order, relayed so many minutes after NOW; return their positions."""
    return [
        await ledger.fetchval(
            "INSERT INTO order_changes VALUES (nextval('order_changes_position'), $1, $2, "
            "'order.changed', gen_random_uuid(), $3, $3) RETURNING position",
            await ledger.fetchval("SELECT id FROM orders ORDER BY id LIMIT 1"),
            n + 2,
            NOW + timedelta(minutes=minute),
        )
        for n, minute in enumerate(minutes)
    ]


async def test_it_begins_with_the_first_change_since_a_time(
    gateway: Gateway, ledger: Database
) -> None:
    feed = feed_of(gateway)
    await submit(gateway, due(1))
    positions: list[int] = []
    for n in range(12):
        positions += await _changes(ledger, 10 + n)
        if n % 3 == 0:
            # Positions that were drawn and rolled back.
            await ledger.fetchval("SELECT nextval('order_changes_position')")
    for n in range(12):
        since = NOW + timedelta(minutes=10 + n)
        start = await feed.start(since + MARGIN, now=NOW)
        assert (positions[n - 1] if n else 0) <= start < positions[n]
    late = await feed.start(NOW + timedelta(days=1), now=NOW)
    assert late == positions[-1]


async def test_what_is_not_kept_is_not_passed_over_in_silence(
    gateway: Gateway, ledger: Database
) -> None:
    feed = feed_of(gateway)
    await submit(gateway, due(1))
    await ledger.execute("TRUNCATE outbox")
    now = datetime.now(UTC)
    # There are orders, and no change yet: an installation that was upgraded.
    with pytest.raises(ChangesNotKept) as refused:
        await feed.start(now - timedelta(days=1), now=now)
    assert await feed.start(refused.value.kept_since, now=now) == 0
    first, second = await _changes(ledger, 10, 20)
    with pytest.raises(ChangesNotKept) as refused:
        await feed.start(NOW, now=now)
    assert refused.value.kept_since == NOW + timedelta(minutes=10)
    assert await feed.start(refused.value.kept_since, now=now) == first - 1
    assert len((await page(feed, first)).orders) == 1
    await ledger.execute("DELETE FROM order_changes WHERE position <= $1", first)
    assert len((await page(feed, first)).orders) == 1
    with pytest.raises(ChangesNotKept):
        await page(feed, first - 1)
    await ledger.execute("DELETE FROM order_changes")
    assert (await page(feed, second)).reached == second


async def test_a_feed_that_has_all_orders_begins_at_any_time(
    gateway: Gateway, ledger: Database
) -> None:
    feed, long_ago = feed_of(gateway), datetime(2020, 1, 1, tzinfo=UTC)
    assert await feed.start(long_ago, now=datetime.now(UTC)) == 0
    await submit(gateway, due(1, order_no="W-1"))
    # Staged, and not relayed yet.
    assert await feed.start(long_ago, now=datetime.now(UTC)) == 0
    await relay(ledger)
    start = await feed.start(long_ago, now=datetime.now(UTC))
    assert told(await page(feed, start)) == [("W-1", 1)]
