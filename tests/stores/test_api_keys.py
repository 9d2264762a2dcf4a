"""API keys: only digests are stored, every change is in the audit log, and the log is a chain."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.domain.access import Principal, Role
from gateway.stores.postgres import audit, errors
from gateway.stores.postgres.api_keys import ApiKeys, digest
from tests.stores.support import Database, rows


@pytest.fixture
def api_keys(ledger: Database) -> ApiKeys:
    return ApiKeys(pool=ledger)


async def test_a_key_is_found_by_its_token_alone(api_keys: ApiKeys) -> None:
    made, token = await api_keys.create("shop", ["ingest", "query"], ["web"], actor="ops")
    assert await api_keys.find(digest(token)) == Principal(
        made.id, "shop", frozenset({"ingest", "query"}), frozenset({"web"})
    )
    assert await api_keys.find(digest(token + "x")) is None
    assert await api_keys.find(digest("")) is None
    assert await api_keys.find(b"") is None


async def test_a_key_for_tests_is_found_as_one_and_told_by_its_token(
    api_keys: ApiKeys, ledger: Database
) -> None:
    made, token = await api_keys.create("x", ["ingest"], [], actor="ops", is_test=True)
    assert token.startswith(f"tg_test_{made.id}_")
    found = await api_keys.find(digest(token))
    assert found == Principal(made.id, "x", frozenset({"ingest"}), frozenset(), is_test=True)
    assert [each.is_test for each in await api_keys.every()] == [True]
    assert "test orders only" in str(await rows(ledger, "audit_log", "detail"))


@pytest.mark.parametrize("role", ["operate", "admin"])
async def test_no_key_for_tests_is_over_the_whole_gateway(api_keys: ApiKeys, role: Role) -> None:
    with pytest.raises(errors.BadRow):
        await api_keys.create("x", ["ingest", role], [], actor="ops", is_test=True)
    assert await api_keys.every() == []


async def test_a_token_is_stored_nowhere(api_keys: ApiKeys, ledger: Database) -> None:
    _, token = await api_keys.create("shop", ["admin"], [], actor="ops")
    secret = token.split("_", 2)[2]
    for table in ("api_keys", "audit_log"):
        for (row,) in await ledger.fetch(f"SELECT t::text FROM {table} t"):
            assert secret not in row
            assert secret.encode().hex() not in row


async def test_a_revoked_key_is_no_key(api_keys: ApiKeys) -> None:
    made, token = await api_keys.create("shop", ["ingest"], [], actor="ops")
    assert await api_keys.revoke(made.id, actor="ops")
    assert await api_keys.find(digest(token)) is None
    assert not await api_keys.revoke(made.id, actor="ops")
    assert not await api_keys.revoke("nobody", actor="ops")
    (listed,) = await api_keys.every()
    assert listed.revoked_at is not None


async def test_no_two_keys_are_alike(api_keys: ApiKeys) -> None:
    made = [await api_keys.create("same", ["ingest"], [], actor="ops") for _ in range(20)]
    assert len({key.id for key, _ in made}) == len({token for _, token in made}) == 20
    assert {key.id for key in await api_keys.every()} == {key.id for key, _ in made}


@pytest.mark.parametrize("token", ["\udc80", "tg_\udcff_x", "密钥", "\0", "x" * 100_000])
async def test_any_text_may_be_tried_as_a_token(api_keys: ApiKeys, token: str) -> None:
    assert await api_keys.find(digest(token)) is None


# --- the audit log ---


@pytest.fixture
async def admin(
    database: str, superuser_url: str
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """One whom no trigger stops."""
    connection = await asyncpg.connect(superuser_url)
    await connection.execute("SET session_replication_role = replica")
    yield connection
    await connection.close()


async def test_every_change_of_a_key_is_in_the_log(
    api_keys: ApiKeys, ledger: Database, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    made, _ = await api_keys.create("shop", ["ingest"], ["web"], actor="ann")
    await api_keys.revoke(made.id, actor="bob")
    await api_keys.revoke(made.id, actor="bob")
    assert await rows(ledger, "audit_log", "id", "actor", "action", "subject", "detail") == [
        (1, "ann", "api_key.create", made.id, "shop: roles ingest; channels web"),
        (2, "bob", "api_key.revoke", made.id, ""),
    ]
    assert await audit.first_break(admin) is None


async def test_writers_at_once_make_one_chain(
    api_keys: ApiKeys, admin: "asyncpg.Connection[asyncpg.Record]", ledger: Database
) -> None:
    await asyncio.gather(
        *[api_keys.create(f"k-{n}", ["ingest"], [], actor="ops") for n in range(30)]
    )
    assert [id_ for (id_,) in await rows(ledger, "audit_log", "id")] == list(range(1, 31))
    assert await audit.first_break(admin) is None


async def test_the_empty_log_has_no_break(admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    assert await audit.first_break(admin) is None


TAMPERING = {
    "an actor": ("UPDATE audit_log SET actor = 'eve' WHERE id = 3", 3),
    "a time": ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = 3", 3),
    "letters that moved to the next column": (
        "UPDATE audit_log SET actor = actor || 'a', action = substr(action, 2) WHERE id = 3",
        3,
    ),
    "a detail": ("UPDATE audit_log SET detail = '' WHERE id = 1", 1),
    "a hash": ("UPDATE audit_log SET hash = sha256('x') WHERE id = 4", 4),
    "a row that is gone": ("DELETE FROM audit_log WHERE id = 2", 2),
    "the first row gone": ("DELETE FROM audit_log WHERE id = 1", 1),
    "two rows that changed places": (
        "UPDATE audit_log SET id = 7 - id + 100 WHERE id IN (3, 4); "
        "UPDATE audit_log SET id = id - 100 WHERE id > 100",
        3,
    ),
}


@pytest.mark.parametrize("kind", list(TAMPERING))
async def test_tampering_is_found_at_its_row(
    api_keys: ApiKeys, admin: "asyncpg.Connection[asyncpg.Record]", kind: str
) -> None:
    statement, at = TAMPERING[kind]
    for n in range(5):
        await api_keys.create(f"k-{n}", ["ingest"], [], actor="ops")
    await admin.execute(statement)
    assert await audit.first_break(admin) == at


# --- append-only ---


@pytest.mark.parametrize("table", ["order_events", "audit_log"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET action = 'x'", "DELETE FROM {}"])
async def test_history_is_never_changed(
    api_keys: ApiKeys, ledger: Database, table: str, statement: str
) -> None:
    await api_keys.create("shop", ["ingest"], [], actor="ops")
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await ledger.execute(statement.format(table))


@pytest.mark.parametrize("table", ["order_events", "audit_log"])
async def test_history_is_never_emptied(ledger: Database, table: str) -> None:
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await ledger.execute(f"TRUNCATE {table}")
