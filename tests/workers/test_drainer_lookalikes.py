"""Look-alikes in an outage: the journal answers as the ledger does, and the drain as both."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.domain import orders
from gateway.domain.channels import ChannelPolicy, LookalikePolicy
from gateway.domain.placing import Placed, Placement
from gateway.intake import shop_message
from gateway.runtime.settings import Channel, Settings
from tests.domain.support import due
from tests.stores.support import Database, counts, placement, rows, with_
from tests.workers.outage import Outage, outage_of

HOLD, REPLAY, OFF = "web", "app", "store"


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    channels = [Channel(HOLD, "hold"), Channel(REPLAY, "replay"), Channel(OFF, "off")]
    async with outage_of(with_(settings, channels=channels)) as started:
        yield started


def click(n: int, **changes: Any) -> orders.Submission:
    """Return order ``W-n``; all of them look alike."""
    return due(1, order_no=f"W-{n}", **changes)


class Sender:
    """Sends orders so many seconds after it began, whatever the clock says."""

    def __init__(self, outage: Outage) -> None:
        self._gateway = outage.gateway
        self._began = datetime.now(UTC) - timedelta(minutes=20)

    def ready(
        self, sent: orders.Submission, *, after_s: float = 0.0, request_id: str | None = None
    ) -> Placement:
        at = self._began + timedelta(seconds=after_s)
        return msgspec.structs.replace(placement(self._gateway, sent, request_id), received_at=at)

    async def __call__(self, sent: orders.Submission, **how: Any) -> Placed:
        return await self._gateway.intake.accept_order(self.ready(sent, **how))


@pytest.fixture
def send(outage: Outage) -> Sender:
    return Sender(outage)


async def aliases(ledger: Database) -> list[tuple[str, UUID]]:
    found = await ledger.fetch("SELECT order_no, order_id FROM order_no_aliases ORDER BY order_no")
    return [tuple(row) for row in found]


async def stored(ledger: Database) -> list[tuple[Any, ...]]:
    found = await rows(ledger, "orders", "order_no", "id", "hold")
    return [row for row in found if not row[0].startswith("W-9")]


async def after_the_outage(outage: Outage) -> None:
    await outage.mend()
    await outage.drained()


async def test_a_double_click_in_an_outage_is_one_order_and_its_alias(
    outage: Outage, ledger: Database, send: Sender
) -> None:
    outage.cable.cut()
    first, second = await send(click(1)), await send(click(2), after_s=9)
    assert (first.answer, first.is_journaled) == ("placed", True)
    assert (second.answer, second.id, second.order_no) == ("replayed", first.id, "W-1")
    assert second.is_journaled
    again = await send(click(2), after_s=12)
    assert (again.answer, again.id) == ("replayed", first.id)
    other = await send(click(2, remark="x"), after_s=12)
    assert (other.answer, other.id, other.order_no) == ("conflict", first.id, "W-1")
    await after_the_outage(outage)
    assert await stored(ledger) == [("W-1", first.id, None)]
    assert await aliases(ledger) == [("W-2", first.id)]
    again = await send(click(2))
    assert (again.answer, again.id) == ("replayed", first.id)
    assert (await send(click(2, remark="x"))).answer == "conflict"
    assert (await counts(ledger))["parked"] == 0


@pytest.mark.parametrize(
    ("channel", "expected"), [(HOLD, "lookalike"), (REPLAY, "alias"), (OFF, None)]
)
@pytest.mark.parametrize("request_id", [None, "r-2"], ids=["no key", "another key"])
async def test_after_the_double_click_the_policy_decides_in_the_journal_too(
    outage: Outage,
    ledger: Database,
    send: Sender,
    channel: str,
    expected: str | None,
    request_id: str | None,
) -> None:
    outage.cable.cut()
    first = await send(click(1, channel=channel))
    second = await send(click(2, channel=channel), after_s=11, request_id=request_id)
    is_alias = expected == "alias"
    assert (second.answer, second.id == first.id) == (
        ("replayed", True) if is_alias else ("placed", False)
    )
    await after_the_outage(outage)
    if is_alias:
        assert await aliases(ledger) == [("W-2", first.id)]
        assert await stored(ledger) == [("W-1", first.id, None)]
    else:
        assert await aliases(ledger) == []
        assert await stored(ledger) == [("W-1", first.id, None), ("W-2", second.id, expected)]


async def test_a_backlog_of_an_outage_holds_no_double_clicks(
    outage: Outage, ledger: Database, send: Sender
) -> None:
    outage.cable.cut()
    first = await send(click(1))
    hour_later = click(2).placed_at + timedelta(hours=1)
    second = await send(click(2, placed_at=hour_later.isoformat()), after_s=1)
    assert (second.answer, second.id == first.id) == ("placed", False)
    await after_the_outage(outage)
    assert await stored(ledger) == [("W-1", first.id, None), ("W-2", second.id, "lookalike")]
    assert await aliases(ledger) == []


async def test_the_key_of_an_alias_is_known_in_the_journal(
    outage: Outage, ledger: Database, send: Sender
) -> None:
    outage.cable.cut()
    first = await send(click(1, channel=REPLAY))
    second = await send(click(2, channel=REPLAY), request_id="r-2")
    assert (second.answer, second.id) == ("replayed", first.id)
    reused = await send(click(3, channel=REPLAY, remark="x"), request_id="r-2")
    assert (reused.answer, reused.id) == ("key_reused", first.id)
    await after_the_outage(outage)
    reused = await send(click(3, channel=REPLAY, remark="x"), request_id="r-2")
    assert (reused.answer, reused.id) == ("key_reused", first.id)


async def test_a_click_in_the_outage_on_an_order_from_before_is_its_alias_afterwards(
    outage: Outage, ledger: Database, send: Sender
) -> None:
    """The journal cannot know the first: it acknowledges an id that then is one with it."""
    first = await send(click(1))
    assert not first.is_journaled
    outage.cable.cut()
    second = await send(click(2), after_s=5)
    assert (second.answer, second.is_journaled) == ("placed", True)
    await after_the_outage(outage)
    assert await stored(ledger) == [("W-1", first.id, None)]
    assert await aliases(ledger) == [("W-2", first.id)]
    found = await ledger.fetchval("SELECT order_id FROM order_aliases WHERE alias = $1", second.id)
    assert found == first.id


async def test_clicks_of_the_same_instant_in_an_outage_have_one_order(
    outage: Outage, ledger: Database, send: Sender
) -> None:
    outage.cable.cut()
    batch = [send.ready(click(n), after_s=n / 10) for n in range(1, 20)]
    placed = [await outage.gateway.intake.accept_order(each) for each in batch]
    assert {each.id for each in placed} == {batch[0].id}
    await after_the_outage(outage)
    assert await stored(ledger) == [("W-1", batch[0].id, None)]
    assert [number for number, _ in await aliases(ledger)] == sorted(f"W-{n}" for n in range(2, 20))


async def test_an_order_and_its_like_with_one_number_each_are_drained_in_any_order(
    outage: Outage, ledger: Database, send: Sender
) -> None:
    """Whichever is drained first is the order; the other's number and id lead to it."""
    outage.cable.cut()
    first, second = await send(click(1)), await send(click(2), after_s=1)
    assert first.id == second.id
    await outage.mend()
    ledger_of = outage.drainer()._ledger
    # As another drainer would, which took the second entry and was faster.
    (placed,) = await ledger_of.place([send.ready(click(2), after_s=1)])
    assert isinstance(placed, Placed)
    await outage.drained()
    assert await stored(ledger) == [("W-2", placed.id, None)]
    assert await aliases(ledger) == [("W-1", placed.id)]
    found = await ledger.fetchval("SELECT order_id FROM order_aliases WHERE alias = $1", first.id)
    assert found == placed.id


def told(*told: orders.Submission, policies: Sequence[LookalikePolicy] = ("hold",)) -> Any:
    return shop_message.ShopMessage(
        source="shop:main",
        provider="shop",
        policies={"web": ChannelPolicy(lookalike=policies[0])},
        trigger="callback:shop:main",
        items=[(f"m-{each.order_no}:placed", each) for each in told],
        body=b"<order/>",
        received_at=datetime.now(UTC),
    )


async def test_orders_of_a_shop_in_an_outage_are_orders_of_their_own(
    outage: Outage, ledger: Database
) -> None:
    gateway = outage.gateway
    outage.cable.cut()
    for sent in (click(1), click(2)):
        await shop_message.accept(told(sent), intake=gateway.intake, new_id=gateway.new_id)
    keyed = await gateway.intake.accept_order(
        placement(gateway, due(5, order_no="W-5"), "order:W-1")
    )
    assert keyed.answer == "placed"
    await after_the_outage(outage)
    assert [(number, hold) for number, _, hold in await stored(ledger)] == [
        ("W-1", None), ("W-2", "lookalike"), ("W-5", None),
    ]  # fmt: skip
    assert await aliases(ledger) == []


@pytest.mark.parametrize("is_known", [False, True], ids=["in the outage", "before it"])
@pytest.mark.parametrize("times", [1, 3])
async def test_an_order_that_a_shop_tells_anew_in_an_outage_takes_it_once(
    outage: Outage, ledger: Database, is_known: bool, times: int
) -> None:
    """The journal may know the order or not: neither parks what the ledger would take."""
    gateway = outage.gateway
    amounts = orders.Amounts(goods=Decimal(80), payable=Decimal(80))
    item = msgspec.structs.replace(click(1).items[0], unit_price=Decimal(80))
    cheaper = msgspec.structs.replace(click(1), amounts=amounts, items=[item])

    async def deliver(sent: orders.Submission) -> None:
        await shop_message.accept(told(sent), intake=gateway.intake, new_id=gateway.new_id)

    if is_known:
        await deliver(click(1))
        await gateway.committer.drain()
    outage.cable.cut()
    if not is_known:
        await deliver(click(1))
    for _ in range(times):
        await deliver(cheaper)
    await after_the_outage(outage)
    # What came before its order waited for it.
    (id_,) = [id_ for number, id_, _ in await stored(ledger) if number == "W-1"]
    await gateway.intake.settle(id_)
    row = await ledger.fetchrow("SELECT payable, version FROM orders WHERE order_no = 'W-1'")
    assert row is not None
    assert tuple(row) == (80, 2)
    assert (await counts(ledger))["parked"] == 0
    await deliver(cheaper)
    assert (await counts(ledger))["parked"] == 0
