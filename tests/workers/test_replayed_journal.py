"""Entries of the journal that could not be drained, replayed once their cause is mended."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from gateway.domain.channels import ChannelPolicy
from gateway.runtime.live import Live
from gateway.runtime.settings import Settings
from gateway.web import wiring
from gateway.web.wiring import ParkedDesk
from tests.stores.support import Database, replaying_in, rows, submit
from tests.workers.outage import Outage, numbered, outage_of


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    async with outage_of(settings) as made:
        yield made


def desk_of(outage: Outage) -> ParkedDesk:
    gateway = outage.gateway
    return wiring.parked_desk(
        pool=gateway.stores.primary,
        sealer=gateway.stores.sealer,
        replaying=replaying_in(gateway),
        accounts=Live({}),
        clock=gateway.clock,
        new_id=gateway.new_id,
    )


async def parked(ledger: Database) -> UUID:
    ((id_,),) = await rows(ledger, "parked", "id")
    found: UUID = id_
    return found


async def test_an_order_of_a_channel_that_was_gone_is_placed_under_its_id(
    outage: Outage, ledger: Database
) -> None:
    """It was answered 202, and the channel was taken out of the settings before the drain."""
    gateway = outage.gateway
    outage.cable.cut()
    answered = await submit(gateway, numbered(1))
    assert answered.is_journaled
    await outage.mend()
    gateway.policies.now = {}
    await outage.drained()
    id_ = await parked(ledger)
    desk = desk_of(outage)
    done = await desk.runs.one(id_, actor="mei", is_dry=False)
    assert done is not None
    assert (done.outcome, done.is_resolved) == ("impossible", False)
    gateway.policies.now = {"web": ChannelPolicy()}
    kept = await desk.rows.read(id_)
    assert kept is not None
    shown = desk.runs.masked(kept, [])
    assert isinstance(shown, dict)
    assert shown["channel"] == "web"
    done = await desk.runs.one(id_, actor="mei", is_dry=False)
    assert done is not None
    assert (done.outcome, done.is_resolved) == ("placed", True)
    stored = await ledger.fetchval("SELECT id FROM orders WHERE order_no = 'W-1'")
    assert stored == answered.id


async def test_of_two_orders_that_contradict_each_other_a_person_chooses(
    outage: Outage, ledger: Database
) -> None:
    gateway = outage.gateway
    await submit(gateway, numbered(1))
    outage.cable.cut()
    assert (await submit(gateway, numbered(1, remark="another"))).is_journaled
    await outage.mend()
    await outage.drained()
    desk, id_ = desk_of(outage), await parked(ledger)
    done = await desk.runs.one(id_, actor="mei", is_dry=False)
    assert done is not None
    assert (done.outcome, done.order_no, done.is_resolved) == ("parked", "W-1", False)
