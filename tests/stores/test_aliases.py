"""Ids given out for an order that turned out to be another lead to it; the unreadable is parked."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from gateway.domain.placing import Placed
from gateway.stores.postgres.aliases import Aliases
from gateway.stores.postgres.ledger import Ledger
from gateway.stores.postgres.statements import sql
from gateway.wiring import Gateway
from tests.domain.support import due, paid
from tests.stores.support import Database, at_once, rows, submit, tell

_ID = "SELECT id FROM orders WHERE order_no = $1"
AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.fixture
def aliases(gateway: Gateway) -> Aliases:
    return Aliases(pool=gateway.stores.primary)


@pytest.fixture
def real(gateway: Gateway) -> Ledger:
    stores = gateway.stores
    return Ledger(pool=stores.primary, sealer=stores.sealer, new_id=gateway.new_id, is_late=True)


async def known(gateway: Gateway, n: int = 1) -> Placed:
    """Store order ``W-n``, paid."""
    placed = await submit(gateway, due(n, order_no=f"W-{n}"))
    await tell(gateway, paid(order_no=f"W-{n}", transaction_id=f"T-{n}"))
    return placed


async def read(ledger: Database, id_: UUID, channels: list[str] | None = None) -> list[str]:
    """Return the order's number and the actions of its history as the statements find them.

    The row is that of the real order: a read by an alias returns its id.
    """
    record = await ledger.fetchrow(sql("read_order"), id_, channels, None)
    exists = await ledger.fetchval(sql("has_order"), id_, channels, None)
    assert (record is not None) is (exists is True)
    if record is None:
        return []
    assert record["id"] == await ledger.fetchval(_ID, record["order_no"])
    return [record["order_no"], *[row[1] for row in await ledger.fetch(sql("read_history"), id_)]]


STORY = ["placed", "payment_succeeded"]


async def test_an_alias_leads_to_the_order_and_its_history(
    gateway: Gateway, aliases: Aliases, ledger: Database
) -> None:
    placed, alias = await known(gateway), gateway.new_id()
    assert await read(ledger, alias) == []
    await aliases.add([(alias, placed.id)])
    assert await read(ledger, alias) == await read(ledger, placed.id) == ["W-1", *STORY]
    assert await read(ledger, gateway.new_id()) == []


async def test_the_channels_of_a_reader_are_those_of_the_real_order(
    gateway: Gateway, aliases: Aliases, ledger: Database
) -> None:
    placed, alias = await known(gateway), gateway.new_id()
    await aliases.add([(alias, placed.id)])
    assert await read(ledger, alias, ["app", "web"]) == ["W-1", *STORY]
    assert await read(ledger, alias, ["app"]) == []


async def test_an_order_is_never_hidden_by_an_alias(
    gateway: Gateway, aliases: Aliases, ledger: Database
) -> None:
    one, two = await known(gateway, 1), await known(gateway, 2)
    await aliases.add([(one.id, two.id), (two.id, two.id)])
    assert await read(ledger, one.id) == ["W-1", *STORY]
    assert await read(ledger, two.id) == ["W-2", *STORY]


async def test_an_alias_of_nothing_leads_nowhere(
    gateway: Gateway, aliases: Aliases, ledger: Database
) -> None:
    alias = gateway.new_id()
    await aliases.add([(alias, gateway.new_id())])
    assert await read(ledger, alias) == []


async def test_repeats_are_harmless_and_the_first_alias_stays(
    gateway: Gateway, aliases: Aliases, ledger: Database
) -> None:
    one, two = await known(gateway, 1), await known(gateway, 2)
    alias = gateway.new_id()
    await aliases.add([])
    for _ in range(2):
        await aliases.add([(alias, one.id), (alias, one.id)])
    await aliases.add([(alias, two.id)])
    found = await ledger.fetch("SELECT alias, order_id FROM order_aliases")
    assert [tuple(row) for row in found] == [(alias, one.id)]


async def test_the_same_aliases_added_in_opposite_order_at_once_do_not_get_in_the_way(
    gateway: Gateway, aliases: Aliases, ledger: Database
) -> None:
    for _ in range(10):
        pairs = [(gateway.new_id(), gateway.new_id()) for _ in range(200)]
        outcomes = await at_once([aliases.add(pairs), aliases.add(pairs[::-1])])
        assert outcomes == [None, None]
    assert await ledger.fetchval("SELECT count(*) FROM order_aliases") == 2000


async def test_a_plain_read_costs_one_index_lookup_more_at_most(
    gateway: Gateway, ledger: Database
) -> None:
    """Whether it is there is looked up first; if it is, the aliases are not read."""
    placed = await known(gateway)
    for name, arguments in (
        ("read_order", f"'{placed.id}', null, null"),
        ("has_order", f"'{placed.id}', null, null"),
        ("read_history", f"'{placed.id}'"),
    ):
        kinds = "uuid, text[]" if "null" in arguments else "uuid"
        async with ledger.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL enable_seqscan = off")
            await connection.execute(f"PREPARE asked ({kinds}) AS {sql(name)}")
            explained = await connection.fetch(
                f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE asked({arguments})"
            )
            await connection.execute("DEALLOCATE asked")
        plan = "\n".join(line for (line,) in explained)
        scans = [line for line in plan.splitlines() if " using " in line]
        # What is shown beside the order is read by its id, and by whatever the planner likes.
        these = (" on orders ", " on order_events ", " on order_aliases ")
        named = [line for line in scans if any(each in line for each in these)]
        assert len(named) == 3, plan
        assert ["never executed" in line for line in scans if "order_aliases" in line] == [True]


# --- what could not be read ---


async def test_unreadable_bytes_are_parked_sealed(
    gateway: Gateway, real: Ledger, ledger: Database
) -> None:
    parked = await real.park_bytes("journal:0", "1-0", b"\0CanaryBody\xff", "of another key", AT)
    columns = ("id", "source", "source_key", "reason", "detail", "received_at", "body")
    ((id_, *row, body),) = await rows(ledger, "parked", *columns)
    assert (str(id_), row) == (parked, ["journal:0", "1-0", "poison", "of another key", AT])
    assert b"Canary" not in body
    opened = gateway.stores.sealer.open("parked.body", id_.bytes, body)
    assert opened == b"\0CanaryBody\xff"


async def test_what_is_parked_again_keeps_its_first_row(real: Ledger, ledger: Database) -> None:
    first = await real.park_bytes("journal:0", "1-0", b"x", "damaged", AT)
    assert await real.park_bytes("journal:0", "1-0", b"y", "damaged", AT) == first
    others = {
        await real.park_bytes("journal:0", "1-1", b"x", "damaged", AT),
        await real.park_bytes("journal:1", "1-0", b"x", "damaged", AT),
    }
    assert len(others | {first}) == 3
    assert len(await rows(ledger, "parked", "id")) == 3


async def test_what_two_park_at_once_is_one_row(real: Ledger, ledger: Database) -> None:
    for n in range(10):
        outcomes = await at_once(
            [real.park_bytes("journal:0", f"{n}-0", b"x", "damaged", AT) for _ in range(4)]
        )
        assert len(set(outcomes)) == 1
    assert len(await rows(ledger, "parked", "id")) == 10


async def test_a_key_that_the_database_rejects_is_stored_escaped(
    real: Ledger, ledger: Database
) -> None:
    await real.park_bytes("journal:0", "1\0\ud800", b"x", "damaged", AT)
    assert await rows(ledger, "parked", "source_key") == [("1\\0\\ud800",)]
