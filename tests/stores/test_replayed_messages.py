"""Replays of whole messages: as if they came again, and what was parked of them judged again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from gateway.domain import events, orders
from gateway.domain.channels import ChannelPolicy, Policies
from gateway.domain.errors import Unavailable
from gateway.intake import shop_message
from gateway.intake.journal_codec import JournalCodec
from gateway.intake.replay_ways import DryWay, Way
from gateway.intake.replays import Decoded, Replayed, Replayer, Undecodable
from gateway.stores.postgres.parked import ParkedRows
from gateway.wiring import Gateway
from tests.domain.support import NOW, due, order_bytes, paid
from tests.stores.support import (
    Database,
    counts,
    order,
    placement,
    replaying_in,
    reported,
    rows,
    tell,
)
from tests.stores.test_poison import by_hand

Items = Sequence[tuple[str, events.Event | orders.Submission]]
POLICIES: Policies = {"web": ChannelPolicy()}


class Adapter:
    """Reads every message as a test likes: yesterday wrong, today right."""

    def __init__(self) -> None:
        self.items: Items = ()
        self.fault = ""

    def decode(self, source: str, *, key: str, body: bytes, received_at: datetime) -> Decoded:
        if self.fault:
            raise Undecodable(self.fault)
        return Decoded(source.partition(":")[0], POLICIES, self.items, False)


class Desk:
    """An operator over the ledger of a test."""

    def __init__(self, gateway: Gateway, rows: Any) -> None:
        self.adapter = Adapter()
        self._gateway = gateway
        self.replayer = Replayer(
            rows=rows,
            decoder=self.adapter,
            codec=JournalCodec(sealer=gateway.stores.sealer),
            new_id=gateway.new_id,
            note_alias=self._note_alias,
        )

    async def _note_alias(self, alias: UUID, order_id: UUID) -> None:
        raise AssertionError("no order of these was answered from the journal")

    async def arrives(self, items: Items) -> None:
        """Have a message come in, read as these items."""
        message = shop_message.ShopMessage(
            source="shop:main",
            provider="shop",
            policies=POLICIES,
            trigger="callback:shop:main",
            items=items,
            body=b'{"as": "it arrived"}',
            received_at=self._gateway.clock.now(),
        )
        await shop_message.accept(message, intake=self._gateway.intake, new_id=self._gateway.new_id)

    async def replay(self, id_: UUID, *, is_dry: bool = False) -> Replayed:
        through = replaying_in(self._gateway)
        intake = through.intake
        way = DryWay(intake, ledger=through.ledger) if is_dry else Way(intake)
        done = await self.replayer.replay(id_, actor="mei", way=way)
        assert done is not None
        return done


@pytest.fixture
def desk(gateway: Gateway) -> Desk:
    return Desk(gateway, ParkedRows(pool=gateway.stores.primary, sealer=gateway.stores.sealer))


async def open_ids(ledger: Database) -> list[UUID]:
    query = "SELECT id FROM parked WHERE resolved_at IS NULL ORDER BY received_at, id"
    return [id_ for (id_,) in await ledger.fetch(query)]


def unreadable(key: str = "unreadable:1") -> Items:
    return [(key, events.Unmapped("unreadable", "", "not JSON", NOW))]


def whole() -> Items:
    return [("m:0", due(1, order_no="W-1")), ("m:1", paid())]


async def test_a_message_that_could_not_be_read_is_read_as_a_whole(
    desk: Desk, ledger: Database
) -> None:
    await desk.arrives(unreadable())
    (id_,) = await open_ids(ledger)
    desk.adapter.items = whole()
    dry = await desk.replay(id_, is_dry=True)
    assert (dry.outcome, (await counts(ledger))["orders"]) == ("placed", 0)
    done = await desk.replay(id_)
    assert (done.outcome, done.is_resolved) == ("placed", True)
    stored = await order(ledger)
    assert (stored["status"], stored["paid"]) == ("paid", 100)
    before = await counts(ledger)
    assert (await desk.replay(id_)).outcome == "closed"
    await desk.arrives(whole())
    assert await counts(ledger) == before
    # What is new of it has its message, as if it had come again.
    assert before["raw_messages"] == 2


async def test_what_is_parked_of_a_message_that_was_mended_keeps_a_row_of_its_own(
    desk: Desk, ledger: Database
) -> None:
    await desk.arrives(unreadable())
    (id_,) = await open_ids(ledger)
    odd = events.Unmapped("odd", "W-1", "of a kind that is not booked", NOW)
    desk.adapter.items = [("m:0", due(1, order_no="W-1")), ("m:1", odd)]
    assert (await desk.replay(id_)).is_resolved
    (other,) = await open_ids(ledger)
    assert other != id_


async def test_a_replay_that_is_cut_off_before_its_end_is_repeated(
    gateway: Gateway, desk: Desk, ledger: Database
) -> None:
    """All of the message is stored, and the row is not closed yet."""

    class Cut(ParkedRows):
        async def finish(self, id_: UUID, *, actor: str, resolution: str) -> bool:
            raise Unavailable("postgres")

    await desk.arrives(unreadable())
    (id_,) = await open_ids(ledger)
    cut = Desk(gateway, Cut(pool=gateway.stores.primary, sealer=gateway.stores.sealer))
    cut.adapter.items = desk.adapter.items = whole()
    with pytest.raises(Unavailable):
        await cut.replay(id_)
    assert await open_ids(ledger) == [id_]
    before = await counts(ledger)
    assert (await desk.replay(id_)).is_resolved
    assert await counts(ledger) == before
    assert (await order(ledger))["paid"] == 100


async def test_an_order_that_a_shop_could_not_place_is_placed(desk: Desk, ledger: Database) -> None:
    """Its channel wants a recipient; until that changes it stays parked."""
    wrong = msgspec.structs.replace(due(1, order_no="W-1"), currency="XXX")
    await desk.arrives([("m:0", wrong)])
    (id_,) = await open_ids(ledger)
    desk.adapter.items = [("m:0", wrong)]
    assert (await desk.replay(id_)).outcome == "parked"
    assert await open_ids(ledger) == [id_]
    desk.adapter.items = [("m:0", due(1, order_no="W-1"))]
    assert (await desk.replay(id_)).outcome == "placed"
    assert await open_ids(ledger) == []


async def test_an_entry_that_could_not_be_stored_is_stored(
    gateway: Gateway, desk: Desk, ledger: Database
) -> None:
    sent = placement(gateway, orders.decode_accepted(order_bytes(1, order_no="W-1")))
    event = reported(gateway, paid(), "m:1", source="shop:main", raw=b"{}")
    await replaying_in(gateway).ledger.park(sent, "[22021]")
    await replaying_in(gateway).ledger.park(event, "[22021]")
    first, second = await open_ids(ledger)
    assert (await desk.replay(first)).outcome == "placed"
    desk.adapter.items = [("m:1", paid(str((await order(ledger))["payable"])))]
    assert (await desk.replay(second)).outcome == "applied"
    assert (await order(ledger))["status"] == "paid"
    assert await open_ids(ledger) == []
    assert (await desk.replay(first)).outcome == "closed"


async def test_what_still_cannot_be_stored_stays_parked(
    gateway: Gateway, desk: Desk, ledger: Database
) -> None:
    zero = events.Unmapped("odd", "W-1", "a zero byte: \0", NOW)
    await desk.arrives([("m:0", zero)])
    (id_,) = await open_ids(ledger)
    desk.adapter.items = [("m:0", zero)]
    done = await desk.replay(id_)
    assert (done.outcome, done.is_resolved) == ("parked", False)
    assert await open_ids(ledger) == [id_]
    bad = by_hand(901)
    await replaying_in(gateway).ledger.park(bad, "[22021]")
    other = next(each for each in await open_ids(ledger) if each != id_)
    assert (await desk.replay(other)).outcome == "impossible"


async def test_what_is_booked_as_it_was_told_is_not_replayed(
    gateway: Gateway, desk: Desk, ledger: Database
) -> None:
    await desk.arrives([("m:0", due(1, order_no="W-1"))])
    await tell(gateway, paid())
    await tell(gateway, paid(transaction_id="T-2"))
    (id_,) = await open_ids(ledger)
    before = await counts(ledger)
    done = await desk.replay(id_)
    assert (done.reason, done.outcome) == ("duplicate_payment", "impossible")
    assert "refund" in done.detail
    assert await counts(ledger) == before


async def test_why_a_message_cannot_be_replayed_is_said(
    gateway: Gateway, desk: Desk, ledger: Database
) -> None:
    await desk.arrives(unreadable())
    (id_,) = await open_ids(ledger)
    desk.adapter.fault = "no account shop/main is configured in this process"
    assert (await desk.replay(id_)).detail == desk.adapter.fault
    desk.adapter.fault = ""
    await gateway.stores.primary.execute("DELETE FROM raw_messages")
    done = await desk.replay(id_)
    assert (done.outcome, done.is_resolved) == ("impossible", False)
    assert "not kept any more" in done.detail
    assert await rows(ledger, "parked", "replays") == [(0,)]
