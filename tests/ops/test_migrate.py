"""Migrations: atomic, applied once, and by one runner at a time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from gateway.runtime.settings import Settings
from ops.embedded.cluster import Servers
from ops.migrations import online, runner, version
from tests.ops.conftest import Cli
from tests.support import databases
from tests.support.patience import HANG_S, until_blocking

_HOLDER = """
import asyncio, asyncpg, sys
async def hold():
    connection = await asyncpg.connect(sys.argv[1])
    await connection.execute(f"SELECT pg_advisory_lock({sys.argv[2]})")
    await asyncio.sleep(60)
asyncio.run(hold())
"""


_ORDER = """
INSERT INTO orders (
    id, channel, order_no, payload_digest, lookalike, currency, goods, shop_discount,
    platform_subsidy, freight, payable, buyer_id, country, province, city, district, phone_index,
    items, private, placed_at, received_at, updated_at
)
VALUES (
    gen_random_uuid(), 'web', 'W-1', '', '', 'CNY', 1, 0, 0, 0, 1, 'b', 'CN', '', '', '', '',
    '[]', '', now(), now(), now()
)
"""


def _run(url: str, *scripts: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for script in scripts:
                await connection.execute(script)
        finally:
            await connection.close()

    asyncio.run(run())


def _tables(url: str) -> set[str]:
    names = "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'public'"
    return set(databases.value(url, names) or [])


def _start(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ops.cli", "migrate", *arguments],
        env={**os.environ, "TIDEGATE_DATABASE_URL": url, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_head_is_the_newest_of_one_line_of_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", "ops:migrations")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [version.HEAD]
    for script in scripts.walk_revisions():
        assert Path(script.path).with_suffix(".sql").is_file()
        with pytest.raises(RuntimeError, match=r"make an empty database|restore"):
            script.module.downgrade()


def test_an_empty_database_gets_the_schema_and_the_coming_months(
    bare: Cli, empty_database: str
) -> None:
    run = bare("migrate", TIDEGATE_DATABASE_URL=empty_database)
    assert (run.exit_code, run.stderr) == (0, "")
    assert run.stdout.splitlines()[0] == "applied 0001: The ledger"
    now = datetime.now(UTC)
    assert {
        "orders", "payments", "audit_log", f"raw_messages_{now.year:04d}_{now.month:02d}",
    } <= _tables(empty_database)  # fmt: skip
    assert (
        databases.value(empty_database, "SELECT version_num FROM alembic_version") == version.HEAD
    )


def test_a_second_run_has_nothing_to_apply(cli: Cli) -> None:
    run = cli("migrate")
    assert (run.exit_code, run.stdout) == (0, f"already at {version.HEAD}, nothing to apply\n")


def test_a_database_in_use_is_upgraded_with_all_its_data(bare: Cli, empty_database: str) -> None:
    _first_revision(empty_database, _ORDER)
    before = databases.value(empty_database, "SELECT to_jsonb(orders)::text FROM orders")
    run = bare("migrate", TIDEGATE_DATABASE_URL=empty_database)
    assert run.exit_code == 0
    applied = [line for line in run.stdout.splitlines() if line.startswith("applied")]
    assert applied[:9] == [
        "applied 0002: Aliases of orders",
        "applied 0003: Orders by the tracking number of their parcel",
        "applied 0004: Refused callbacks, kept for a while",
        "applied 0005: Operators' modes",
        "applied 0006: Whether the stock was asked about an order",
        "applied 0007: The shape in which orders are handed over",
        "applied 0008: Whether a step's beginning and end were written down",
        "applied 0009: Transactions by the account that reported them",
        "applied 0010: Which keys private fields are sealed with",
    ]
    # Whatever columns are new, all else is as it was.
    after = databases.value(empty_database, "SELECT to_jsonb(orders)::text FROM orders")
    assert json.loads(before).items() <= json.loads(after).items()
    assert "order_aliases" in _tables(empty_database)
    # A live order keeps its number for itself, beside a test order of the same one.
    _run(
        empty_database,
        _ORDER.replace("order_no,", "order_no, is_test,").replace("'W-1',", "'W-1', true,"),
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        _run(empty_database, _ORDER)
    assert bare("migrate", "--check", TIDEGATE_DATABASE_URL=empty_database).exit_code == 0


def _first_revision(url: str, *more: str) -> None:
    _run(
        url,
        (files("ops.migrations") / "versions" / "0001_ledger.sql").read_text("utf-8"),
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('0001')",
        *more,
    )


def test_orders_of_nothing_that_waited_for_a_payment_are_paid(
    bare: Cli, empty_database: str
) -> None:
    free = _ORDER.replace("'CNY', 1, 0, 0, 0, 1,", "'CNY', 0, 0, 0, 0, 0,").replace("W-1", "W-0")
    _first_revision(empty_database, _ORDER, free)
    assert bare("migrate", TIDEGATE_DATABASE_URL=empty_database).exit_code == 0

    def value(query: str) -> Any:
        return databases.value(empty_database, query)

    of = "FROM orders WHERE order_no"
    assert value(f"SELECT status || version {of} = 'W-1'") == "pending_payment1"
    assert value(f"SELECT status || version || (paid_at = placed_at) {of} = 'W-0'") == "paid2true"
    history = "SELECT string_agg(source_key || ' ' || action || ' ' || to_status, ',')"
    assert value(f"{history} FROM order_events") == "W-0 payment_succeeded paid"
    # Its outbox row went with the outbox of before, which no target was told from.
    assert value("SELECT count(*) FROM outbox") == 0


_PAYMENT = """
INSERT INTO payments (
    id, provider, source, transaction_id, order_no, currency, amount, standing, paid_at
)
VALUES (gen_random_uuid(), 'stripe', 'stripe:a', 'T-1', 'W-1', 'CNY', 1, 'waiting', now())
"""
_INDEX_IS_VALID = """
SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('payments_transaction')
"""


def test_every_online_index_belongs_to_a_revision_that_makes_it_too() -> None:
    scripts = [each for each in online.SCRIPTS.iterdir() if each.name.endswith(".sql")]
    assert scripts
    for script in scripts:
        number, _, index = script.name.removesuffix(".sql").partition("_")
        (revision,) = [
            each
            for each in (files("ops.migrations") / "versions").iterdir()
            if each.name.startswith(number) and each.name.endswith(".sql")
        ]
        made, prebuilt = revision.read_text("utf-8"), script.read_text("utf-8")
        assert f"INDEX CONCURRENTLY {index}\n" in prebuilt
        there = prebuilt.replace("INDEX CONCURRENTLY", "INDEX IF NOT EXISTS")
        assert there in made


def test_an_index_is_built_while_the_gateways_write(bare: Cli, empty_database: str) -> None:
    """A transaction that has written a payment is open: only CONCURRENTLY lets others write too."""
    _first_revision(empty_database, _PAYMENT)

    async def migrate_beside_writers() -> str:
        open_one = await asyncpg.connect(empty_database)
        writer = await asyncpg.connect(empty_database)
        transaction = open_one.transaction()
        await transaction.start()
        await open_one.execute(_PAYMENT.replace("T-1", "T-2"))
        process = _start(empty_database)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE UNIQUE INDEX CONC%'"
        while not await writer.fetchval(f"{waits} AND wait_event_type = 'Lock'"):
            assert process.poll() is None
            await asyncio.sleep(0.05)
        await asyncio.wait_for(writer.execute(_PAYMENT.replace("T-1", "T-3")), HANG_S)
        await transaction.commit()
        output, _ = await asyncio.to_thread(process.communicate, timeout=HANG_S)
        await open_one.close()
        await writer.close()
        assert process.returncode == 0, output
        return output

    output = asyncio.run(migrate_beside_writers())
    assert "building index payments_transaction beside the running gateways" in output
    assert databases.value(empty_database, _INDEX_IS_VALID) is True
    assert databases.value(empty_database, "SELECT count(*) FROM payments") == 3


def test_an_index_that_a_killed_run_left_invalid_is_built_again(
    bare: Cli, empty_database: str
) -> None:
    _first_revision(empty_database, _PAYMENT, _PAYMENT.replace("T-1", "T-2"))
    with pytest.raises(asyncpg.UniqueViolationError):
        # Two rows of one currency: the build fails half way, as a killed one does.
        _run(
            empty_database,
            "CREATE UNIQUE INDEX CONCURRENTLY payments_transaction ON payments (currency)",
        )
    assert databases.value(empty_database, _INDEX_IS_VALID) is False
    assert bare("migrate", TIDEGATE_DATABASE_URL=empty_database).exit_code == 0
    assert databases.value(empty_database, _INDEX_IS_VALID) is True


def test_a_number_may_be_of_two_accounts_and_once_of_each(bare: Cli, empty_database: str) -> None:
    _first_revision(empty_database, _PAYMENT)
    bare("migrate", TIDEGATE_DATABASE_URL=empty_database)
    databases.execute(empty_database, _PAYMENT.replace("stripe:a", "stripe:b"))
    with pytest.raises(asyncpg.UniqueViolationError):
        databases.execute(empty_database, _PAYMENT)


def test_check_reports_and_changes_nothing(bare: Cli, empty_database: str) -> None:
    run = bare("migrate", "--check", TIDEGATE_DATABASE_URL=empty_database)
    assert run.exit_code == 1
    assert "run `tidegate migrate`" in run.stderr
    assert _tables(empty_database) == set()
    bare("migrate", TIDEGATE_DATABASE_URL=empty_database)
    assert bare("migrate", "--check", TIDEGATE_DATABASE_URL=empty_database).exit_code == 0


def test_of_concurrent_runners_one_applies_and_all_succeed(empty_database: str) -> None:
    runners = [_start(empty_database) for _ in range(4)]
    outputs = [process.communicate(timeout=HANG_S)[0] for process in runners]
    assert [process.returncode for process in runners] == [0, 0, 0, 0], outputs
    assert sum("applied 0001" in text for text in outputs) == 1


def test_a_runner_waits_for_the_lock_and_a_killed_one_releases_it(empty_database: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, empty_database, str(runner._LOCK)])
    # pg_locks shows a bigint key as two halves.
    held = "SELECT count(*) FROM pg_locks WHERE (classid::bigint << 32) | objid::bigint = "
    until_blocking(lambda: databases.value(empty_database, f"{held} {runner._LOCK}") == 1)
    waiting = _start(empty_database)
    assert waiting.stdout is not None
    assert "waiting for my turn" in waiting.stdout.readline()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    output, _ = waiting.communicate(timeout=HANG_S)
    assert (waiting.returncode, "applied 0001" in output) == (0, True)


def test_a_migration_that_fails_half_way_changes_nothing(bare: Cli, empty_database: str) -> None:
    databases.execute(empty_database, "CREATE TABLE audit_log ()")
    run = bare("migrate", TIDEGATE_DATABASE_URL=empty_database)
    assert run.exit_code == 1
    assert "nothing was changed" in run.stderr
    assert "a database of its own" in run.stderr
    assert _tables(empty_database) == {"audit_log"}


def test_a_database_of_a_newer_version_is_not_changed(bare: Cli, empty_database: str) -> None:
    bare("migrate", TIDEGATE_DATABASE_URL=empty_database)
    databases.execute(empty_database, "UPDATE alembic_version SET version_num = '9999'")
    for form in ([], ["--check"]):
        run = bare("migrate", *form, TIDEGATE_DATABASE_URL=empty_database)
        assert run.exit_code == 1
        assert "9999" in run.stderr
        assert "newer version" in run.stderr


def test_a_replica_is_not_migrated(cli: Cli, replicated: Settings) -> None:
    run = cli("migrate", TIDEGATE_DATABASE_URL=replicated.replica_urls)
    assert run.exit_code == 1
    assert "primary" in run.stderr


def test_missing_permissions_are_reported(bare: Cli, empty_database: str, servers: Servers) -> None:
    password = "p@ss/w#rd? %"
    escaped = "p%40ss%2Fw%23rd%3F%20%25"
    databases.execute(servers.admin_url, "DROP ROLE IF EXISTS reader")
    databases.execute(servers.admin_url, f"CREATE ROLE reader LOGIN PASSWORD '{password}'")
    place = empty_database.partition("@")[2]
    # The escapes of the password and the parameters of the URL reach the driver as they are.
    url = f"postgresql://reader:{escaped}@{place}?application_name=x%20y&sslmode=prefer"
    run = bare("migrate", TIDEGATE_DATABASE_URL=url)
    assert run.exit_code == 1
    assert "permission denied for schema public" in run.stderr
    assert password not in run.stderr
    assert _tables(empty_database) == set()


def test_several_hosts_in_the_url_find_the_primary(cli: Cli, replicated: Settings) -> None:
    place, _, database = replicated.database_url.partition("@")[2].partition("/")
    replica = replicated.replica_urls.partition("@")[2].partition("/")[0]
    before = replicated.database_url.partition("@")[0]
    url = f"{before}@{replica},{place}/{database}?target_session_attrs=primary"
    assert cli("migrate", TIDEGATE_DATABASE_URL=url).exit_code == 0
