"""A process starts with the key ring that its database is sealed with, and with no other."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Settings
from gateway.stores import sealing
from gateway.stores.key_checks import KeyName
from gateway.stores.postgres import key_ring
from gateway.stores.postgres.key_ring import WrongKeyRing
from gateway.stores.sealing import KeyRing
from gateway.wiring import open_gateway
from tests.domain.support import due
from tests.stores.support import Database, at_once, counts, gateways, order, submit, with_
from tests.support.cable import cable_to
from tests.support.patience import HANG_S, until

Ringed = Callable[..., Settings]


@pytest.fixture
def ringed(settings: Settings, tmp_path: Path) -> Ringed:
    """The settings with a file that holds this ring."""

    def made(ring: KeyRing, **changes: Any) -> Settings:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.toml"
        sealing.write_ring(path, ring)
        return with_(settings, keyring_file=str(path), **changes)

    return made


async def known(ledger: Database) -> list[tuple[str, int, bool]]:
    """Return (kind, id, whether it is in use) of every key."""
    async with ledger.acquire() as connection:
        rows = await key_ring.known_keys(connection)
    return [(row.kind, row.key_id, row.in_use_since is not None) for row in rows]


async def place(settings: Settings, *numbers: int) -> None:
    """Start with these settings and place an order of each number."""
    async with gateways(settings) as (gateway,):
        for n in numbers:
            await submit(gateway, due(n, order_no=f"W-{n}"))


async def forget(ledger: Database) -> None:
    """Make it a database that was filled before there were check values."""
    await ledger.execute("DELETE FROM sealing_keys")


async def refused(settings: Settings) -> str:
    """Return why a process with these settings does not start."""
    with pytest.raises(WrongKeyRing) as caught:
        async with open_gateway(settings):
            pass
    return str(caught.value)


async def test_the_first_start_records_the_keys_and_the_next_ones_find_them(
    ringed: Ringed, ledger: Database
) -> None:
    ours = ringed(sealing.new_ring())
    await place(ours, 1)
    before = await ledger.fetch("SELECT * FROM sealing_keys ORDER BY kind")
    assert await known(ledger) == [("blind_index", 1, False), ("seal", 1, True)]
    await place(ours, 2)
    assert await ledger.fetch("SELECT * FROM sealing_keys ORDER BY kind") == before


async def test_no_key_can_be_found_in_the_database(ringed: Ringed, ledger: Database) -> None:
    ring = sealing.new_ring()
    await place(ringed(ring))
    values = [bytes(row[0]) for row in await ledger.fetch("SELECT check_value FROM sealing_keys")]
    assert len(values) == 2
    for key in (ring.keys[1], ring.blind_index):
        assert not any(value in key or key in value for value in values)


async def test_a_ring_with_the_same_ids_and_other_keys_is_refused(
    ringed: Ringed, ledger: Database
) -> None:
    await place(ringed(sealing.new_ring()), 1)
    sentence = await refused(ringed(sealing.new_ring()))
    assert "does not belong to this database" in sentence
    assert "key 1 and blind index key are other keys" in sentence
    assert (await counts(ledger))["orders"] == 1


async def test_a_ring_with_another_blind_index_key_alone_is_refused(ringed: Ringed) -> None:
    ring = sealing.new_ring()
    await place(ringed(ring), 1)
    other = KeyRing(active=1, keys=ring.keys, blind_index=sealing.new_ring().blind_index)
    assert "its blind index key is another key" in await refused(ringed(other))


async def test_a_ring_that_lacks_a_key_in_use_is_refused_with_what_it_sealed(
    ringed: Ringed,
) -> None:
    ring = sealing.new_ring()
    await place(ringed(ring), 1, 2)
    rotated = sealing.rotated(ring)
    await place(ringed(rotated), 3)
    without = KeyRing(active=2, keys={2: rotated.keys[2]}, blind_index=ring.blind_index)
    sentence = await refused(ringed(without))
    assert "lacks key 1, in use" in sentence
    assert "1 sealed 2 rows of orders, 2 rows of raw_messages" in sentence
    assert "lacks key 2, in use" in await refused(ringed(ring))


async def test_a_rotation_is_followed_by_a_restart_and_all_stays_readable(
    ringed: Ringed, ledger: Database
) -> None:
    ring = sealing.new_ring()
    rotated = sealing.rotated(ring)
    async with gateways(ringed(ring)) as (old,):
        await submit(old, due(1, order_no="W-1"))
        async with gateways(ringed(rotated)) as (new,):
            await submit(new, due(2, order_no="W-2"))
            assert await known(ledger) == [
                ("blind_index", 1, False), ("seal", 1, True), ("seal", 2, True),
            ]  # fmt: skip
            # The old one goes on until it is restarted, over new connections too.
            await old.stores.primary.expire_connections()
            await submit(old, due(3, order_no="W-3"))
            for n in (1, 2, 3):
                row = await order(ledger, f"W-{n}")
                new.stores.sealer.open("orders.private", row["id"].bytes, row["private"])


async def test_a_key_that_was_made_and_not_used_may_be_missing(
    ringed: Ringed, ledger: Database
) -> None:
    """A machine that restarts between the rotation and the copy of the file."""
    ring = sealing.new_ring()
    await place(ringed(ring))
    rotated = sealing.rotated(ring)
    async with ledger.acquire() as connection:
        name = KeyName("seal", 2)
        await key_ring.record(connection, rotated, [name], in_use=())
    await place(ringed(ring), 1)
    await place(ringed(rotated), 2)
    assert "lacks key 2" in await refused(ringed(ring))


async def test_a_process_that_only_reads_is_refused_as_well_and_marks_no_key(
    ringed: Ringed, ledger: Database
) -> None:
    ring = sealing.new_ring()
    await place(ringed(ring, role="query"))
    assert await known(ledger) == [("blind_index", 1, False), ("seal", 1, False)]
    assert "does not belong" in await refused(ringed(sealing.new_ring(), role="query"))


async def test_of_two_rings_at_once_one_is_the_databases(ringed: Ringed, ledger: Database) -> None:
    for _ in range(5):
        await forget(ledger)
        both = [ringed(sealing.new_ring()), ringed(sealing.rotated(sealing.new_ring()))]
        outcomes = await at_once([place(each) for each in both])
        assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "WrongKeyRing"]
        first = both[outcomes.index(None)]
        await place(first)
        # Nothing of the other is left.
        keys = sealing.load_ring(Path(first.keyring_file)).keys
        assert [row[1] for row in await known(ledger) if row[0] == "seal"] == sorted(keys)


async def test_many_processes_with_one_ring_start_at_once(ringed: Ringed) -> None:
    ours = ringed(sealing.rotated(sealing.new_ring()))
    assert await at_once([place(ours) for _ in range(8)]) == [None] * 8


# --- a database that was filled before there were check values ---


async def test_what_is_sealed_has_to_open_before_a_key_is_recorded(
    ringed: Ringed, ledger: Database
) -> None:
    ours = ringed(sealing.new_ring())
    await place(ours, 1, 2)
    await forget(ledger)
    sentence = await refused(ringed(sealing.new_ring()))
    assert "its key 1 opens nothing that key 1 sealed" in sentence
    assert await known(ledger) == []
    await place(ours, 3)
    assert await known(ledger) == [("blind_index", 1, False), ("seal", 1, True)]


async def test_one_damaged_row_does_not_speak_against_a_ring(
    ringed: Ringed, ledger: Database
) -> None:
    ours = ringed(sealing.new_ring())
    await place(ours, 1, 2)
    await forget(ledger)
    await ledger.execute(
        "UPDATE orders SET private = set_byte(private, 40, get_byte(private, 40) # 1) "
        "WHERE order_no = 'W-2'"
    )
    await place(ours, 3)


async def test_a_key_that_sealed_old_rows_alone_is_missed(ringed: Ringed, ledger: Database) -> None:
    """The oldest rows are looked at, and between them and the newest those of every id so far."""
    ring = sealing.new_ring()
    second = sealing.rotated(ring)
    third = sealing.rotated(second)
    await place(ringed(ring), *range(6))
    await place(ringed(second), *range(6, 8))
    await place(ringed(third), *range(8, 14))
    for missing in (1, 2):
        await forget(ledger)
        keys = {key_id: key for key_id, key in third.keys.items() if key_id != missing}
        incomplete = KeyRing(active=3, keys=keys, blind_index=ring.blind_index)
        assert f"it lacks key {missing}" in await refused(ringed(incomplete))
        foreign = {**third.keys, missing: sealing.new_ring().keys[1]}
        mixed = KeyRing(active=3, keys=foreign, blind_index=ring.blind_index)
        assert f"its key {missing} opens nothing" in await refused(ringed(mixed))
    await place(ringed(third))
    assert [row[1:] for row in await known(ledger)] == [(1, False), (1, True), (2, True), (3, True)]


async def test_the_blind_index_key_has_to_index_the_phones_as_they_are(
    ringed: Ringed, ledger: Database
) -> None:
    ring = sealing.new_ring()
    await place(ringed(ring), 1)
    await forget(ledger)
    other = KeyRing(active=1, keys=ring.keys, blind_index=sealing.new_ring().blind_index)
    assert "its blind index key is not the one" in await refused(ringed(other))
    await place(ringed(ring))


@pytest.mark.parametrize(
    ("phone", "country", "indexed"),
    [
        ("18412345678-1234", "CN", "+8618412345678;ext=1234"),
        ("ask me", "CN", "askme"),
        ("ask me", "CN", ""),  # of a shop, before there was a reading of unusual phones
        ("0065 9123 4567", "CN", "+86006591234567"),
    ],
)
async def test_what_unusual_phones_are_indexed_by_now_and_before_fits(
    ringed: Ringed, ledger: Database, phone: str, country: str, indexed: str
) -> None:
    ring = sealing.new_ring()
    async with gateways(ringed(ring)) as (gateway,):
        to = {"phone": phone, "country": country}
        await submit(gateway, due(1, recipient=to))
    index = sealing.Sealer(ring).phone_index(indexed)
    await ledger.execute("UPDATE orders SET phone_index = $1", index)
    await forget(ledger)
    other = KeyRing(active=1, keys=ring.keys, blind_index=sealing.new_ring().blind_index)
    assert "its blind index key is not the one" in await refused(ringed(other))
    await place(ringed(ring), 2)


# --- found late ---


async def test_a_wrong_ring_is_found_when_postgres_comes_back(
    ringed: Ringed, settings: Settings, ledger: Database
) -> None:
    """Until then it journals, as any process does that starts in an outage; then nothing more."""
    await place(ringed(sealing.new_ring()), 1)
    async with cable_to(settings.database_url) as cable:
        cable.cut()
        wrong = ringed(sealing.new_ring(), database_url=cable.url, replica_urls="")
        async with gateways(wrong) as (gateway,):
            assert (await submit(gateway, due(2))).is_journaled
            assert gateway.ring_check.refusal == ""
            cable.mend()
            n = 2

            async def is_refused() -> bool:
                nonlocal n
                n += 1
                try:
                    placed = await submit(gateway, due(n))
                except Unavailable:
                    return gateway.ring_check.refusal != ""
                assert placed.is_journaled, "nothing is committed with this ring"
                return False

            await until(is_refused)
            assert "does not belong to this database" in gateway.ring_check.refusal
            outcomes = await at_once([submit(gateway, due(900 + n)) for n in range(10)])
            assert {type(each) for each in outcomes} == {Unavailable}
    assert (await counts(ledger))["orders"] == 1


async def test_another_database_behind_the_same_address_is_found(
    ringed: Ringed, ledger: Database
) -> None:
    """A backup that was sealed with another ring is restored while a gateway runs."""
    async with gateways(ringed(sealing.new_ring())) as (gateway,):
        await submit(gateway, due(1))
        await forget(ledger)
        await ledger.execute("DELETE FROM orders; DELETE FROM raw_messages")
        await place(ringed(sealing.new_ring()), 2)
        await gateway.stores.primary.expire_connections()
        with pytest.raises(Unavailable):
            await submit(gateway, due(3))
        assert "does not belong" in gateway.ring_check.refusal
    assert (await counts(ledger))["orders"] == 1


async def test_the_right_ring_goes_on_when_postgres_comes_back(
    ringed: Ringed, settings: Settings, ledger: Database
) -> None:
    async with cable_to(settings.database_url) as cable:
        cable.cut()
        ours = ringed(sealing.new_ring(), database_url=cable.url, replica_urls="")
        async with gateways(ours) as (gateway,):
            assert not gateway.ring_check.is_done
            assert (await submit(gateway, due(1))).is_journaled
            cable.mend()
            async with asyncio.timeout(HANG_S):
                n = 1
                while (await submit(gateway, due(n := n + 1))).is_journaled:
                    await asyncio.sleep(0.1)
            assert gateway.ring_check.is_done
    assert await known(ledger) == [("blind_index", 1, False), ("seal", 1, True)]
