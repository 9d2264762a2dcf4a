"""Entries of the journal that a drainer cannot open: parked, or left to one that can."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.domain.errors import Unavailable
from gateway.domain.journaling import Entry
from gateway.intake.journal_codec import JournalCodec
from gateway.runtime.settings import Settings
from gateway.stores import sealing
from gateway.stores.key_checks import KeyName
from gateway.stores.postgres import key_ring
from gateway.wiring import open_gateway
from tests.domain.support import paid
from tests.stores.support import Database, order, placement, reported, rows, submit, with_
from tests.support.cable import cable_to
from tests.support.patience import until
from tests.workers.outage import Outage, ids, numbered, outage_of
from workers import drainer


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Outage]:
    async with outage_of(settings) as started:
        yield started


async def test_damaged_entries_are_parked_as_they_are_and_the_rest_goes_on(
    outage: Outage, ledger: Database
) -> None:
    """A bit of the text, of the key id; another lane's entry: what waits behind is committed."""
    gateway = outage.gateway
    outage.cable.cut()
    placed = [await submit(gateway, numbered(n)) for n in (1, 2)]
    await outage.mend()
    streams, codec = gateway.stores.journal_streams, JournalCodec(sealer=gateway.stores.sealer)
    assert streams is not None
    sound = codec.encode_order(placement(gateway, numbered(3)))
    damaged = [
        sound[:40] + bytes([sound[40] ^ 1]) + sound[41:],
        sound[:1] + b"\x4d" + sound[2:],
        sound[:30],
        codec.encode_follow_up(reported(gateway, paid())),
    ]
    for envelope in damaged:
        await streams.append(0, "placements", [Entry(envelope, (), b"")])
    await outage.drained()
    assert {each.id for each in placed} <= set(await ids(ledger))
    parked = await ledger.fetch("SELECT id, body FROM parked")
    opened = [gateway.stores.sealer.open("parked.body", r["id"].bytes, r["body"]) for r in parked]
    assert sorted(opened) == sorted(damaged)


async def test_an_entry_of_a_newer_key_ring_waits_for_a_worker_that_has_it(
    outage: Outage, ledger: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After a rotation, while this worker was not restarted yet; nothing waits behind it."""
    gateway = outage.gateway
    rotated = sealing.rotated(sealing.load_ring(Path(gateway.settings.keyring_file)))
    async with ledger.acquire() as connection:
        name = KeyName("seal", rotated.active)
        await key_ring.record(connection, rotated, [name], in_use=())
    streams = gateway.stores.journal_streams
    assert streams is not None
    newer = JournalCodec(sealer=sealing.Sealer(rotated))
    kept = placement(gateway, numbered(1))
    await streams.append(0, "placements", [Entry(newer.encode_order(kept), (), b"")])
    worker = outage.drainer()
    assert await worker.round() == 0
    outage.cable.cut()
    others = [await submit(gateway, numbered(n)) for n in range(2, 6)]
    await outage.mend()

    async def is_left_alone() -> bool:
        await worker.round()
        return await outage.waiting() == 1

    await until(is_left_alone)
    assert {each.id for each in others} <= set(await ids(ledger))
    assert await rows(ledger, "parked", "id") == []
    monkeypatch.setattr(drainer, "_IDLE_S", 0.0)
    sealing.write_ring(tmp_path / "rotated.toml", rotated)
    restarted = with_(gateway.settings, keyring_file=str(tmp_path / "rotated.toml"))
    async with outage_of(restarted) as after:
        await after.drained()
    assert (await order(ledger))["id"] == kept.id


async def test_a_drainer_with_the_ring_of_another_database_takes_nothing_out(
    outage: Outage, settings: Settings, ledger: Database, tmp_path: Path
) -> None:
    """It started in the outage, so that nothing could tell it before."""
    outage.cable.cut()
    placed = [await submit(outage.gateway, numbered(n)) for n in range(1, 6)]
    waiting = await outage.waiting()
    sealing.write_ring(tmp_path / "other.toml", sealing.new_ring())
    async with cable_to(settings.database_url) as cable:
        cable.cut()
        wrong = with_(
            settings, database_url=cable.url, replica_urls="",
            keyring_file=str(tmp_path / "other.toml"),
        )  # fmt: skip
        async with open_gateway(wrong) as late:
            worker = Outage(late, cable).drainer()
            cable.mend()

            async def is_refused() -> bool:
                with contextlib.suppress(Unavailable):
                    assert await worker.round() == 0
                return late.ring_check.refusal != ""

            await until(is_refused)
            assert "does not belong to this database" in late.ring_check.refusal
            assert await outage.waiting() == waiting
            assert await rows(ledger, "parked", "id") == []
    await outage.mend()
    # What the other one was given is taken over, as from one that died.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drainer, "_IDLE_S", 0.0)
        await outage.drained()
    assert {each.id for each in placed} <= set(await ids(ledger))
    assert await rows(ledger, "parked", "id") == []
