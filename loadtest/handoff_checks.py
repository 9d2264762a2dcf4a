"""The promise of the hand-off: every event delivered at least once, in order, under its own id.

Two sides are compared: the change feed of the ledger, and what a target has received, in the order
of arrival. ``read`` takes the ledger's side; ``verify`` is pure.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from loadtest.handoff.recorder import Receipt
from loadtest.ledger_contents import Order
from loadtest.verify import Check, every, none

_CHANGES = """
SELECT position, order_id, version, topic, event_id FROM order_changes ORDER BY position
"""
_ORDERS = "SELECT id, version FROM orders"
_ATTEMPTS = """
SELECT event_id, outcome, count(*)::int FROM delivery_attempts WHERE target = $1 GROUP BY 1, 2
"""
_PENDING = "SELECT event_id FROM deliveries WHERE target = $1 AND dead_at IS NULL"
_LEFT = """
SELECT (SELECT count(*) FROM outbox)
     + (SELECT count(*) FROM deliveries WHERE target = $1 AND dead_at IS NULL)
"""
_POLL_INTERVAL_S = 0.2
_DEAD = "SELECT event_id FROM deliveries WHERE target = $1 AND dead_at IS NOT NULL"


class Change(msgspec.Struct, frozen=True):
    """A row of the change feed."""

    position: int
    order_id: UUID
    version: int
    topic: str
    event_id: UUID


class HandedOn(msgspec.Struct, kw_only=True):
    """The ledger's side, for one target."""

    changes: list[Change]
    #: The version of each order.
    versions: dict[UUID, int]
    #: How many attempts ended so, by event and outcome.
    attempts: Counter[tuple[UUID, str]]
    pending: list[UUID]
    dead: list[UUID]
    #: Rows of the outbox that are not relayed yet.
    staged: int


async def read(connection: Any, target: str) -> HandedOn:
    """Read the ledger's side, in the transaction that the connection is in."""
    attempts = await connection.fetch(_ATTEMPTS, target)
    return HandedOn(
        changes=[Change(*row) for row in await connection.fetch(_CHANGES)],
        versions=dict([tuple(row) for row in await connection.fetch(_ORDERS)]),
        attempts=Counter({(event, outcome): count for event, outcome, count in attempts}),
        pending=[row[0] for row in await connection.fetch(_PENDING, target)],
        dead=[row[0] for row in await connection.fetch(_DEAD, target)],
        staged=await connection.fetchval("SELECT count(*) FROM outbox"),
    )


async def read_from(url: str, target: str) -> HandedOn:
    """Read the database behind a URL as it is at one moment."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await read(connection, target)
    finally:
        await connection.close()


def verify(
    handed_on: HandedOn, receipts: Sequence[Receipt], *, topics: Collection[str] = ()
) -> list[Check]:
    """Compare; every check of the result must be ``ok``. Call it when all has settled.

    ``topics`` are those that the target subscribes to; empty: all.
    """
    comparison = _Comparison(handed_on, receipts, topics)
    return [
        none("changes that are not relayed", ["outbox"] * handed_on.staged),
        every("each version of an order in the feed, once and in order", comparison.feed()),
        every("events delivered at least once", comparison.delivered()),
        none("events out of order at their first delivery", comparison.out_of_order()),
        none("deliveries of an event under another id or topic", comparison.strange()),
        none("deliveries that are pending", map(str, handed_on.pending)),
        none("dead letters", map(str, handed_on.dead)),
        every("events with one attempt that ended them", comparison.logged()),
    ]


def paid(orders: Sequence[Order], receipts: Sequence[Receipt]) -> Check:
    """Make the check that every order that is paid and not held was handed on as paid."""
    told = {receipt.order_id for receipt in receipts if receipt.topic == "order.paid"}
    due = [order for order in orders if order.status == "paid" and order.hold is None]
    faults = ("" if order.id in told else f"{order.order_no}: never told" for order in due)
    return every("paid orders handed on to the warehouse", faults)


async def known(url: str, target: str, *, within_s: float) -> None:
    """Wait until a worker has seen a target: it is told of what is staged from then on.

    Returns after ``within_s`` in any case: what was not told then shows in the comparison.
    """
    began_s = time.monotonic()
    connection = await asyncpg.connect(url)
    try:
        while time.monotonic() - began_s < within_s:
            if await connection.fetchval(
                "SELECT EXISTS (SELECT FROM targets WHERE name = $1)", target
            ):
                break
            await asyncio.sleep(_POLL_INTERVAL_S)
    finally:
        await connection.close()


async def settle(url: str, target: str, *, within_s: float) -> float:
    """Wait until everything is relayed and nothing is pending for a target.

    Return the seconds taken. Returns too once nothing has happened for ``within_s``: what is wrong
    then shows in the comparison.
    """
    began_s = changed_s = time.monotonic()
    connection = await asyncpg.connect(url)
    before = None
    try:
        while left := await connection.fetchval(_LEFT, target):
            if left != before:
                before, changed_s = left, time.monotonic()
            if time.monotonic() - changed_s > within_s:
                break
            await asyncio.sleep(_POLL_INTERVAL_S)
    finally:
        await connection.close()
    return time.monotonic() - began_s


class _Comparison:
    """Both sides, indexed."""

    def __init__(
        self, handed_on: HandedOn, receipts: Sequence[Receipt], topics: Collection[str]
    ) -> None:
        self._handed_on = handed_on
        self._receipts = receipts
        self._by_event = {change.event_id: change for change in handed_on.changes}
        withdrawn = {event for event, outcome in handed_on.attempts if outcome == "withdrawn"}
        subscribed = [
            change for change in handed_on.changes if not topics or change.topic in topics
        ]
        self._subscribed = subscribed
        self._expected = [change for change in subscribed if change.event_id not in withdrawn]

    def feed(self) -> Iterator[str]:
        versions = defaultdict(list)
        for change in self._handed_on.changes:
            versions[change.order_id].append(change.version)
        for order_id, version in self._handed_on.versions.items():
            found = versions[order_id]
            is_whole = found == list(range(1, version + 1))
            yield "" if is_whole else f"{order_id}: version {version}, the feed has {found}"

    def delivered(self) -> Iterator[str]:
        received = {receipt.event_id for receipt in self._receipts}
        for change in self._expected:
            is_there = change.event_id in received
            yield "" if is_there else f"{change.event_id}: {change.topic} of {change.order_id}"

    def out_of_order(self) -> Iterator[str]:
        first: dict[UUID, Receipt] = {}
        for receipt in self._receipts:
            first.setdefault(receipt.event_id, receipt)
        last: dict[UUID, tuple[int, int]] = {}
        for event_id, receipt in first.items():
            change = self._by_event.get(event_id)
            if change is None:
                continue  # reported as strange
            reached = last.get(change.order_id, (0, 0))
            now = (change.position, receipt.version)
            if now[0] < reached[0] or now[1] < reached[1]:
                yield f"{change.order_id}: position and version {now} after {reached}"
            last[change.order_id] = now

    def strange(self) -> Iterator[str]:
        for receipt in self._receipts:
            change = self._by_event.get(receipt.event_id)
            if change is None:
                yield f"{receipt.event_id}: in no feed"
            elif receipt.id != str(receipt.event_id):
                yield f"{receipt.event_id}: sent as {receipt.id}"
            elif (receipt.topic, receipt.order_id) != (change.topic, change.order_id):
                yield f"{receipt.event_id}: {receipt.topic}, the feed has {change.topic}"
            elif receipt.version < change.version:
                yield f"{receipt.event_id}: version {receipt.version}, of {change.version}"

    def logged(self) -> Iterator[str]:
        attempts = self._handed_on.attempts
        for change in self._subscribed:
            ended = [attempts[change.event_id, how] for how in ("delivered", "withdrawn")]
            yield "" if sum(ended) == 1 else f"{change.event_id}: delivered, withdrawn {ended}"
