"""API keys and sealing keys, created and revoked by hand."""

import asyncio
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.access import Principal
from gateway.domain.journaling import Entry
from gateway.runtime.settings import Settings
from gateway.stores import sealing
from gateway.stores.postgres.api_keys import ApiKeys, digest
from gateway.stores.postgres.key_ring import WrongKeyRing
from gateway.stores.redis.journal_streams import JournalStreams
from gateway.wiring import Gateway
from tests.domain.support import due
from tests.ops.conftest import Cli
from tests.stores.support import gateways, submit, with_
from tests.support import databases
from tests.support.patience import HANG_S

_ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keyring.toml"


def _rows(settings: Settings, query: str) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(settings.database_url)
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def _bearer(settings: Settings, token: str) -> Principal | None:
    async def find() -> Principal | None:
        async with asyncpg.create_pool(settings.database_url, min_size=1) as pool:
            return await ApiKeys(pool=pool).find(digest(token))

    return asyncio.run(find())


def test_a_key_for_tests_says_so(cli: Cli, settings: Settings) -> None:
    run = cli("keys", "create", "--name", "staging", "--role", "ingest", "--test")
    assert (run.exit_code, run.stdout[:8]) == (0, "tg_test_")
    assert "test orders only" in run.stderr
    bearer = _bearer(settings, run.stdout.strip())
    assert bearer is not None
    assert bearer.is_test
    assert cli("keys", "create", "--name", "shop", "--role", "ingest").exit_code == 0
    listed = cli("keys", "list", "--json")
    kinds = {key["name"]: key["is_test"] for key in json.loads(listed.stdout)}
    assert (kinds["staging"], kinds["shop"]) == (True, False)
    (line,) = [line for line in cli("keys", "list").stdout.splitlines() if "staging" in line]
    assert "test" in line.split()


@pytest.mark.parametrize("role", ["operate", "admin"])
def test_a_key_for_tests_has_no_role_over_the_whole_gateway(cli: Cli, role: str) -> None:
    run = cli("keys", "create", "--name", "x", "--role", "query", "--role", role, "--test")
    assert (run.exit_code, run.stdout) == (2, "")
    assert f"--role {role} does not go with --test" in run.stderr


def test_a_created_key_grants_its_roles_and_channels(cli: Cli, settings: Settings) -> None:
    run = cli(
        "keys", "create", "--name", "shop", "--role", "ingest", "--role", "query",
        "--channel", "web", "--channel", "web",
    )  # fmt: skip
    assert run.exit_code == 0
    token = run.stdout.strip()
    bearer = _bearer(settings, token)
    assert bearer is not None
    assert (bearer.name, sorted(bearer.roles)) == ("shop", ["ingest", "query"])
    assert bearer.channels == frozenset({"web"})
    assert token not in run.stderr


def test_the_audit_log_names_the_creator_of_a_key(cli: Cli, settings: Settings) -> None:
    made = json.loads(cli("keys", "create", "--name", "n", "--role", "query", "--json").stdout)
    (row,) = _rows(settings, "SELECT actor, action, subject FROM audit_log")
    assert row == {"actor": _ME, "action": "api_key.create", "subject": made["id"]}


def test_a_key_for_an_unknown_channel_is_rejected(cli: Cli, settings: Settings) -> None:
    run = cli("keys", "create", "--name", "n", "--role", "ingest", "--channel", "wbe")
    assert run.exit_code == 2
    assert "there are web, app" in run.stderr
    assert _rows(settings, "SELECT 1 FROM api_keys") == []


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 65])
def test_a_name_that_would_garble_the_list_is_rejected(cli: Cli, name: str) -> None:
    assert cli("keys", "create", "--name", name, "--role", "query").exit_code == 2


def test_the_list_shows_every_key_and_no_token(cli: Cli) -> None:
    token = cli("keys", "create", "--name", "one", "--role", "query").stdout.strip()
    cli("keys", "create", "--name", "two", "--role", "ingest", "--channel", "app")
    for form in ([], ["--json"]):
        shown = cli("keys", "list", *form).stdout
        assert "one" in shown
        assert "two" in shown
        assert token.rpartition("_")[2] not in shown
    assert [key["name"] for key in json.loads(cli("keys", "list", "--json").stdout)] == [
        "one",
        "two",
    ]


def test_a_revoked_key_is_invalid_and_is_revoked_once(cli: Cli, settings: Settings) -> None:
    made = json.loads(cli("keys", "create", "--name", "n", "--role", "query", "--json").stdout)
    assert cli("keys", "revoke", made["id"]).exit_code == 0
    assert _bearer(settings, made["token"]) is None
    assert cli("keys", "revoke", made["id"]).exit_code == 1
    assert "revoked" in cli("keys", "list").stdout


def test_a_database_without_a_schema_asks_for_migrate(bare: Cli, empty_database: str) -> None:
    run = bare("keys", "list", TIDEGATE_DATABASE_URL=empty_database)
    assert run.exit_code == 1
    assert "tidegate migrate" in run.stderr


def test_a_key_ring_is_created_without_a_database(bare: Cli, ring: Path) -> None:
    run = bare("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring))
    assert run.exit_code == 0
    assert sealing.load_ring(ring).active == 1
    assert ring.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in ring.parent.iterdir()] == [ring.name]


def test_the_path_of_the_key_ring_may_be_in_the_file(bare: Cli, ring: Path) -> None:
    Path("tidegate.toml").write_text(f'keyring_file = "{ring}"\n')
    assert bare("keys", "seal-init").exit_code == 0
    assert ring.exists()


def test_a_key_ring_is_never_overwritten(bare: Cli, ring: Path) -> None:
    bare("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring))
    before = ring.read_bytes()
    assert bare("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring)).exit_code == 2
    again = bare("keys", "seal-init", "--if-missing", TIDEGATE_KEYRING_FILE=str(ring))
    assert again.exit_code == 0
    assert ring.read_bytes() == before


def test_a_damaged_key_ring_is_an_error(bare: Cli, ring: Path) -> None:
    ring.parent.mkdir()
    ring.write_text("active = 1\n")
    run = bare("keys", "seal-init", "--if-missing", TIDEGATE_KEYRING_FILE=str(ring))
    assert run.exit_code == 2


@pytest.mark.servers
def test_of_concurrent_seal_inits_one_succeeds(ring: Path) -> None:
    ended = _at_once(4, ["keys", "seal-init"], {"TIDEGATE_KEYRING_FILE": str(ring)})
    assert sorted(ended) == [0, 2, 2, 2]
    sealing.load_ring(ring)


def test_a_rotated_ring_still_opens_what_it_sealed(
    cli: Cli, settings: Settings, ring: Path
) -> None:
    cli("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring))
    sealed = sealing.Sealer(sealing.load_ring(ring)).seal("t.c", b"r", b"plain")
    run = cli("keys", "seal-rotate", TIDEGATE_KEYRING_FILE=str(ring))
    assert run.exit_code == 0
    assert "restart" in run.stdout
    after = sealing.load_ring(ring)
    assert (after.active, sorted(after.keys)) == (2, [1, 2])
    assert sealing.Sealer(after).open("t.c", b"r", sealed) == b"plain"
    (row,) = _rows(settings, "SELECT actor, action, subject FROM audit_log")
    assert row == {"actor": _ME, "action": "sealing_key.rotate", "subject": "2"}


def test_the_database_knows_a_key_as_soon_as_it_is_made(
    cli: Cli, settings: Settings, ring: Path
) -> None:
    """So that a second one of the same id is not made on another machine, from an older copy."""
    cli("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring))
    older = ring.with_name("older.toml")
    older.write_bytes(ring.read_bytes())
    cli("keys", "seal-rotate", TIDEGATE_KEYRING_FILE=str(ring))
    known = _rows(settings, "SELECT kind, key_id, in_use_since FROM sealing_keys")
    assert known == [{"kind": "seal", "key_id": 2, "in_use_since": None}]
    run = cli("keys", "seal-rotate", TIDEGATE_KEYRING_FILE=str(older))
    assert run.exit_code == 2
    assert "lacks key 2, which a rotation made on another machine" in run.stderr
    assert sealing.load_ring(older).active == 1


def test_after_a_rotation_the_first_restart_makes_the_older_copy_useless(
    cli: Cli, settings: Settings, ring: Path
) -> None:
    cli("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring))
    _opened(settings, ring, 1)
    older = ring.with_name("older.toml")
    older.write_bytes(ring.read_bytes())
    assert cli("keys", "seal-rotate", TIDEGATE_KEYRING_FILE=str(ring)).exit_code == 0
    _opened(settings, older, 2)
    _opened(settings, ring, 3)
    with pytest.raises(WrongKeyRing, match="2 sealed 1 row of orders, 1 row of raw_messages"):
        _opened(settings, older)


def test_a_ring_that_opens_nothing_is_not_rotated(cli: Cli, settings: Settings, ring: Path) -> None:
    """In a database that was filled before there were check values, too."""
    sealing.write_ring(ring, sealing.new_ring())
    _opened(settings, ring, 1)
    databases.execute(settings.database_url, "DELETE FROM sealing_keys")
    sealing.write_ring(ring, sealing.new_ring())
    run = cli("keys", "seal-rotate", TIDEGATE_KEYRING_FILE=str(ring))
    assert run.exit_code == 2
    assert "its key 1 opens nothing that key 1 sealed" in run.stderr
    assert sealing.load_ring(ring).active == 1


async def test_a_ring_of_another_database_is_not_rotated(
    gateway: Gateway, cli: Cli, ring: Path
) -> None:
    sealing.write_ring(ring, sealing.new_ring())
    run = await asyncio.to_thread(cli, "keys", "seal-rotate", TIDEGATE_KEYRING_FILE=str(ring))
    assert run.exit_code == 2
    assert "does not belong to this database" in run.stderr
    assert sealing.load_ring(ring).active == 1


def test_without_a_database_nothing_is_rotated(cli: Cli, ring: Path) -> None:
    cli("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring))
    run = cli(
        "keys", "seal-rotate", TIDEGATE_KEYRING_FILE=str(ring),
        TIDEGATE_DATABASE_URL="postgresql://u@127.0.0.1:1/d",
    )  # fmt: skip
    assert run.exit_code == 1
    assert sealing.load_ring(ring).active == 1


def test_concurrent_rotations_each_add_a_key(cli: Cli, settings: Settings, ring: Path) -> None:
    cli("keys", "seal-init", TIDEGATE_KEYRING_FILE=str(ring))
    variables = {"TIDEGATE_DATABASE_URL": settings.database_url, "TIDEGATE_KEYRING_FILE": str(ring)}
    assert _at_once(3, ["keys", "seal-rotate"], variables) == [0, 0, 0]
    assert sorted(sealing.load_ring(ring).keys) == [1, 2, 3, 4]


def test_the_list_of_sealing_keys_shows_ids_only(bare: Cli, ring: Path) -> None:
    sealing.write_ring(ring, sealing.rotated(sealing.new_ring()))
    listed = json.loads(bare("keys", "seal-list", "--json", TIDEGATE_KEYRING_FILE=str(ring)).stdout)
    assert listed == {"file": str(ring), "active": 2, "keys": [1, 2]}
    shown = bare("keys", "seal-list", TIDEGATE_KEYRING_FILE=str(ring)).stdout
    for line in ring.read_text().splitlines():
        if line.endswith('="'):
            assert line.split('"')[1] not in shown


# --- retired keys ---


def _opened(settings: Settings, ring: Path, *numbers: int) -> None:
    """Start with this ring and place an order of each number."""

    async def run() -> None:
        async with gateways(with_(settings, keyring_file=str(ring))) as (gateway,):
            for n in numbers:
                await submit(gateway, due(n, order_no=f"W-{n}"))

    asyncio.run(run())


def _without(ring: Path, key_id: int) -> None:
    found = sealing.load_ring(ring)
    keys = {each: key for each, key in found.keys.items() if each != key_id}
    sealing.write_ring(ring, sealing.KeyRing(found.active, keys, found.blind_index))


def test_a_key_that_seals_nothing_any_more_is_retired(
    cli: Cli, settings: Settings, ring: Path
) -> None:
    sealing.write_ring(ring, sealing.new_ring())
    _opened(settings, ring)
    sealing.write_ring(ring, sealing.rotated(sealing.load_ring(ring)))
    _opened(settings, ring, 1)
    run = cli("keys", "seal-retire", "1")
    assert (run.exit_code, run.stdout) == (0, "key 1 is retired: key rings may be without it\n")
    assert "already" in cli("keys", "seal-retire", "1").stdout
    _without(ring, 1)
    _opened(settings, ring, 2)
    (row,) = _rows(settings, "SELECT actor, action, subject FROM audit_log")
    assert row == {"actor": _ME, "action": "sealing_key.retire", "subject": "1"}


def test_a_key_that_rows_need_is_not_retired(cli: Cli, settings: Settings, ring: Path) -> None:
    sealing.write_ring(ring, sealing.new_ring())
    _opened(settings, ring, 1)
    run = cli("keys", "seal-retire", "1")
    assert run.exit_code == 2
    assert "seal-rotate" in run.stderr
    sealing.write_ring(ring, sealing.rotated(sealing.load_ring(ring)))
    _opened(settings, ring)
    run = cli("keys", "seal-retire", "1")
    assert run.exit_code == 1
    assert "1 row of orders, 1 row of raw_messages need it" in run.stderr
    for key, status in (("blind-index", 1), ("7", 2), ("0", 2), ("one", 2)):
        assert cli("keys", "seal-retire", key).exit_code == status, key
    assert _rows(settings, "SELECT 1 FROM sealing_keys WHERE retired_at IS NOT NULL") == []


def test_after_a_lost_ring_a_new_one_goes_on(cli: Cli, settings: Settings, ring: Path) -> None:
    """The steps of the runbook. A ring whose key has the id of the lost one stays refused."""
    sealing.write_ring(ring, sealing.new_ring())
    _opened(settings, ring, 1)
    ring.unlink()
    variables = {"TIDEGATE_KEYRING_FILE": str(ring)}
    run = cli("keys", "seal-retire", "--lost", "1", "blind-index", **variables)
    assert run.exit_code == 0, run.stderr
    assert "unreadable from now on: 1 row of orders, 1 row of raw_messages" in run.stdout
    cli("keys", "seal-init", **variables)
    with pytest.raises(WrongKeyRing):
        _opened(settings, ring)
    ring.unlink()
    assert cli("keys", "seal-init", "--id", "2", **variables).exit_code == 0
    _opened(settings, ring, 2)
    live = _rows(
        settings, "SELECT kind, key_id FROM sealing_keys WHERE retired_at IS NULL ORDER BY kind"
    )
    assert live == [{"kind": "blind_index", "key_id": 2}, {"kind": "seal", "key_id": 2}]
    assert cli("keys", "seal-rotate", **variables).exit_code == 0
    assert sealing.load_ring(ring).active == 3


@pytest.mark.parametrize("key", ["1", "blind-index"])
def test_a_key_that_the_ring_at_hand_uses_is_not_lost(
    cli: Cli, settings: Settings, ring: Path, key: str
) -> None:
    sealing.write_ring(ring, sealing.new_ring())
    _opened(settings, ring, 1)
    variables = {"TIDEGATE_KEYRING_FILE": str(ring)}
    run = cli("keys", "seal-retire", "--lost", "7", key, **variables)
    assert run.exit_code == 2
    assert f"is not lost: the key ring {ring} uses it" in run.stderr
    assert _rows(settings, "SELECT 1 FROM sealing_keys WHERE retired_at IS NOT NULL") == []
    _opened(settings, ring)
    # Another ring of the same ids lies there: this one may be lost.
    sealing.write_ring(ring, sealing.new_ring())
    assert cli("keys", "seal-retire", "--lost", key, **variables).exit_code == 0


def test_what_waits_in_the_journal_keeps_every_key(
    cli: Cli, settings: Settings, ring: Path
) -> None:
    async def append() -> None:
        streams = JournalStreams(url=settings.journal_url, shards=1, call_s=HANG_S)
        await streams.append(0, "placements", [Entry(b"sealed", (), b"")])
        await streams.close()

    asyncio.run(append())
    run = cli("keys", "seal-retire", "1")
    assert run.exit_code == 1
    assert "1 entries wait in the journal" in run.stderr


def _at_once(count: int, command: list[str], variables: dict[str, str]) -> list[int]:
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "ops.cli", *command],
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(count)
    ]
    return [process.wait(HANG_S) for process in started]
