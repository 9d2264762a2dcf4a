"""``tidegate doctor``: finds what is wrong, gives advice, and shows no secret."""

import asyncio
import json
import re
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway.domain.journaling import Entry
from gateway.runtime.settings import Settings
from gateway.stores import sealing
from gateway.stores.redis.journal_streams import JournalStreams
from ops.doctor import machine, postgres, redis_server
from ops.embedded.cluster import REPLICA, Servers
from tests.ops.conftest import Cli
from tests.support import databases
from tests.support.patience import HANG_S
from tests.support.site import Site

Report = dict[str, dict[str, str]]
_JOURNAL_SETTINGS = (
    "appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy", "maxmemory",
)  # fmt: skip


def _report(cli: Cli, **variables: str) -> Report:
    run = cli("doctor", "--json", **variables)
    report = json.loads(run.stdout)
    found = {finding["check"]: finding for finding in report["findings"]}
    failed = [check for check, finding in found.items() if finding["level"] == "fail"]
    assert report["ok"] == (not failed)
    assert run.exit_code == (1 if failed else 0)
    assert all(finding["advice"] for finding in found.values() if finding["level"] != "ok")
    return found


def test_a_sound_installation_has_no_findings(cli: Cli, replicated: Settings) -> None:
    cli("keys", "create", "--name", "n", "--role", "ingest")
    found = _report(cli)
    # These tests run their servers without fsync: the failure proves that it is checked.
    assert found.pop("durability")["level"] == "fail"
    found.pop("descriptors")
    assert {finding["level"] for finding in found.values()} == {"ok"}
    assert set(found) == {
        "python", "settings", "disk", "key ring", "key ring mode", "accounts", "alerts", "targets",
        "postgres version",
        "postgres role", "postgres encoding", "connections", "clock", "schema", "api keys",
        "raw messages", "audit log", "key ring fits", "replica 1", "redis", "redis latency",
        "journal", "journal keeps its word", "journal waiting", "journal fill",
        "journal's own server",
    }  # fmt: skip
    assert found["redis"]["found"].startswith("Valkey ")


def test_the_text_for_people_ends_with_a_count(cli: Cli, replicated: Settings) -> None:
    run = cli("doctor")
    assert "fail  durability" in run.stdout
    assert "1 failed" in run.stdout.splitlines()[-1]


def test_no_secret_is_shown(cli: Cli, settings: Settings, keyring: Path) -> None:
    shown = cli("doctor").stdout + cli("doctor", "--json").stdout
    for url in (settings.database_url, settings.redis_url, settings.journal_url):
        assert url.rpartition("@")[0].rpartition(":")[2] not in shown
    for line in keyring.read_text().splitlines():
        if '"' in line:
            assert line.split('"')[1] not in shown


def test_a_wrong_setting_ends_the_checks(bare: Cli) -> None:
    found = _report(bare)
    assert found["settings"]["found"].startswith("database_url is not set")
    assert "postgres" not in found


def test_a_misspelt_variable_is_named(cli: Cli) -> None:
    found = _report(cli, TIDEGATE_DRIAN_S="9")["settings"]
    assert found["level"] == "warn"
    assert "TIDEGATE_DRIAN_S" in found["found"]


def test_an_unreachable_server_is_reported_and_the_rest_is_checked(cli: Cli) -> None:
    away = {"TIDEGATE_DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/d"}
    found = _report(cli, **away)
    assert found["postgres"]["level"] == "fail"
    assert found["postgres"]["advice"].endswith("until then what arrives goes to the journal")
    assert found["redis"]["level"] == "ok"
    found = _report(cli, **away, TIDEGATE_REDIS_URL="", TIDEGATE_JOURNAL_URL="")
    assert found["postgres"]["advice"].endswith("until then what arrives is rejected")


def test_without_redis_it_is_only_slower(cli: Cli) -> None:
    assert _report(cli, TIDEGATE_REDIS_URL="redis://127.0.0.1:1")["redis"]["level"] == "warn"
    assert _report(cli, TIDEGATE_REDIS_URL="")["redis"]["level"] == "ok"
    found = _report(cli, TIDEGATE_REDIS_URL="redis://:hush@h:hush")["redis"]
    assert found["level"] == "fail"
    assert "hush" not in found["found"]


@pytest.fixture
def lenient(journal_server: "redis.Redis") -> Iterator["redis.Redis"]:
    """The journal's server, whose settings a test may change; they are as before afterwards."""
    before = {name: journal_server.config_get(name)[name] for name in _JOURNAL_SETTINGS}
    yield journal_server
    for name, value in before.items():
        journal_server.config_set(name, str(value))
    # When appendonly is turned on again, the server rewrites the file first.
    deadline_s = time.monotonic() + HANG_S
    while any(
        journal_server.info("persistence")[f"aof_rewrite_{what}"]
        for what in ("in_progress", "scheduled")
    ):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "allkeys-lru"),
        ("maxmemory", "0"),
    ],
)
def test_a_journal_that_is_not_durable_is_found(
    cli: Cli, lenient: "redis.Redis", name: str, value: str
) -> None:
    lenient.config_set(name, value)
    found = _report(cli)["journal keeps its word"]
    assert found["level"] == "fail"
    assert name in found["found"]
    assert "503" in found["advice"]


def test_results_are_no_journal(cli: Cli) -> None:
    found = _report(cli, TIDEGATE_JOURNAL_URL="")
    assert found["journal keeps its word"]["level"] == "warn"
    assert "appendfsync" in found["journal keeps its word"]["found"]
    assert "orders are rejected with 503" in found["journal keeps its word"]["advice"]
    assert "journal's own server" not in found


def test_results_and_journal_on_one_server_are_noted(cli: Cli, settings: Settings) -> None:
    by_default = _report(cli, TIDEGATE_JOURNAL_URL="", TIDEGATE_REDIS_URL=settings.journal_url)
    # By another host name, and another database of it: FLUSHALL empties them all.
    renamed = settings.journal_url.replace("127.0.0.1", "localhost").removesuffix("0") + "3"
    by_both = _report(cli, TIDEGATE_REDIS_URL=renamed)
    for found in (by_default, by_both):
        assert found["journal keeps its word"]["level"] == "ok"
        assert found["journal's own server"]["level"] == "warn"
        assert "FLUSHALL" in found["journal's own server"]["found"]


def test_without_any_journal_the_consequence_is_reported(cli: Cli) -> None:
    found = _report(cli, TIDEGATE_JOURNAL_URL="", TIDEGATE_REDIS_URL="")["journal"]
    assert found["level"] == "warn"
    assert "503" in found["found"]


def test_an_unreachable_journal_is_reported(cli: Cli) -> None:
    found = _report(cli, TIDEGATE_JOURNAL_URL="redis://:hush@127.0.0.1:1")["journal"]
    assert found["level"] == "fail"
    assert "waiting in it" in found["advice"]
    unreachable = "redis://:hush@127.0.0.1:1"
    found = _report(cli, TIDEGATE_JOURNAL_URL="", TIDEGATE_REDIS_URL=unreachable)["journal"]
    assert found["level"] == "warn"
    found = _report(cli, TIDEGATE_JOURNAL_URL="redis://:hush@h:hush")["journal"]
    assert found["level"] == "fail"
    assert "hush" not in json.dumps(found)


def test_waiting_journal_entries_are_reported(
    cli: Cli, settings: Settings, journal_server: "redis.Redis"
) -> None:
    assert _report(cli)["journal waiting"]["found"] == "nothing"
    asyncio.run(_journaled(settings, count=3))
    found = _report(cli)["journal waiting"]
    assert found["level"] == "ok"
    assert found["found"].startswith("3 entries")
    minutes_ago_ms = int(datetime.now(UTC).timestamp() * 1000) - 300_000
    stream = "tidegate:{journal1}:follow_ups"
    journal_server.xadd(stream, {"e": b"sealed"}, id=f"{minutes_ago_ms}-0")
    found = _report(cli)["journal waiting"]
    assert found["level"] == "warn"
    age = re.match(r"4 entries, the oldest for (\d+) s", found["found"])
    assert age is not None
    assert 300 <= int(age[1]) <= 300 + HANG_S


async def _journaled(settings: Settings, *, count: int) -> None:
    streams = JournalStreams(url=settings.journal_url, shards=settings.journal_shards, call_s=2.0)
    entries = [
        Entry(envelope=b"sealed", claims=((bytes([n]), 60),), claim_value=b"id")
        for n in range(count)
    ]
    assert await streams.append(0, "placements", entries) == [None] * count
    await streams.close()


def test_a_filling_journal_is_reported_before_it_is_full(cli: Cli, lenient: "redis.Redis") -> None:
    # So much that one connection more or less does not matter; in pieces, to leave no big buffers.
    for number in range(128):
        lenient.set(f"ballast{number}", bytes(64 * 1024))
    used_bytes = lenient.info("memory")["used_memory"]
    for share, level in ((0.5, "ok"), (0.85, "warn"), (1.05, "fail")):
        lenient.config_set("maxmemory", int(used_bytes / share))
        assert _report(cli)["journal fill"]["level"] == level


def test_an_empty_database_asks_for_migrate(cli: Cli, empty_database: str) -> None:
    found = _report(cli, TIDEGATE_DATABASE_URL=empty_database)
    assert found["schema"]["level"] == "fail"
    assert "tidegate migrate" in found["schema"]["advice"]
    assert "audit log" not in found


def test_a_standby_is_not_taken_for_the_primary(cli: Cli, replicated: Settings) -> None:
    found = _report(cli, TIDEGATE_DATABASE_URL=replicated.replica_urls)
    assert found["postgres role"]["level"] == "fail"
    assert "replica 1" not in found


def test_a_primary_is_not_taken_for_a_replica(cli: Cli, settings: Settings) -> None:
    urls = f"{settings.database_url}, postgresql://u:hush@127.0.0.1:1/d"
    found = _report(cli, TIDEGATE_REPLICA_URLS=urls)
    assert found["replica 1"]["level"] == "fail"
    assert found["replica 2"]["level"] == "warn"


def test_a_replica_of_another_primary_is_found(
    cli: Cli, replicated: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter((1, 2))

    async def identifier(connection: Any) -> int:
        return next(answers)

    monkeypatch.setattr(postgres, "system_identifier", identifier)
    found = _report(cli)["replica 1"]
    assert found["level"] == "fail"
    assert "another primary" in found["found"]


def test_replica_lag_is_found(cli: Cli, replicated: Settings, servers: Servers) -> None:
    replica = databases.admin_url(servers, server=REPLICA)
    databases.execute(replica, "SELECT pg_wal_replay_pause()")
    try:
        cli("keys", "create", "--name", "n", "--role", "ingest")
        found = _report(cli, TIDEGATE_REPLICA_LAG_MAX_S="0.2")["replica 1"]
    finally:
        databases.execute(replica, "SELECT pg_wal_replay_resume()")
    assert found["level"] == "warn"
    assert "behind" in found["found"]


def test_a_changed_audit_row_is_found(cli: Cli, superuser_url: str) -> None:
    for name in ("one", "two", "three"):
        cli("keys", "create", "--name", name, "--role", "query")
    databases.execute(
        superuser_url,
        "ALTER TABLE audit_log DISABLE TRIGGER append_only",
        "UPDATE audit_log SET actor = 'intruder' WHERE id = 2",
    )
    found = _report(cli)["audit log"]
    assert found["level"] == "fail"
    assert "row 2" in found["found"]


def test_a_missing_month_is_found(cli: Cli, superuser_url: str) -> None:
    now = datetime.now(UTC)
    databases.execute(superuser_url, f"DROP TABLE raw_messages_{now.year:04d}_{now.month:02d}")
    assert _report(cli)["raw messages"]["level"] == "warn"
    assert cli("migrate").exit_code == 0
    assert _report(cli)["raw messages"]["level"] == "ok"


def test_a_server_without_durability_is_found(cli: Cli, superuser_url: str) -> None:
    database = superuser_url.rpartition("/")[2]
    databases.execute(
        superuser_url,
        f"ALTER DATABASE {database} SET synchronous_commit = off",
        f"ALTER DATABASE {database} SET default_transaction_read_only = on",
    )
    found = _report(cli)
    assert "synchronous_commit off" in found["durability"]["found"]
    assert found["postgres role"]["level"] == "fail"


def test_too_few_connections_are_found(cli: Cli) -> None:
    assert _report(cli, TIDEGATE_DATABASE_POOL_MAX="40")["connections"]["level"] == "warn"
    assert _report(cli, TIDEGATE_DATABASE_POOL_MAX="400")["connections"]["level"] == "fail"


@pytest.mark.parametrize(
    ("mode", "level"), [(0o600, "ok"), (0o400, "ok"), (0o640, "warn"), (0o644, "fail")]
)
def test_a_key_ring_that_others_can_read_is_found(
    cli: Cli, tmp_path: Path, mode: int, level: str
) -> None:
    ring = tmp_path / "ring.toml"
    sealing.write_ring(ring, sealing.new_ring())
    ring.chmod(mode)
    assert _report(cli, TIDEGATE_KEYRING_FILE=str(ring))["key ring mode"]["level"] == level


def test_a_missing_key_ring_is_found(cli: Cli) -> None:
    found = _report(cli, TIDEGATE_KEYRING_FILE="nowhere/ring.toml")["key ring"]
    assert found["level"] == "fail"
    assert "seal-init" in found["advice"]


async def test_a_key_ring_of_another_machine_is_found(
    site: Site, cli: Cli, order_json: bytes, tmp_path: Path
) -> None:
    status, _ = await site.submit(order_json)
    assert status == 201
    ring = tmp_path / "other.toml"
    sealing.write_ring(ring, sealing.new_ring())
    ours = await asyncio.to_thread(_report, cli)
    theirs = await asyncio.to_thread(_report, cli, TIDEGATE_KEYRING_FILE=str(ring))
    assert ours["key ring fits"]["level"] == "ok"
    assert theirs["key ring fits"]["level"] == "fail"
    assert "does not belong to this database" in theirs["key ring fits"]["found"]
    # Filled before there were check values: what is sealed tells.
    databases.execute(site.gateway.settings.database_url, "DELETE FROM sealing_keys")
    theirs = await asyncio.to_thread(_report, cli, TIDEGATE_KEYRING_FILE=str(ring))
    assert theirs["key ring fits"]["level"] == "fail"
    assert "opens nothing" in theirs["key ring fits"]["found"]


async def test_a_newest_order_that_cannot_be_opened_is_found(
    site: Site, cli: Cli, order_json: bytes
) -> None:
    await site.submit(order_json)
    damage = "UPDATE orders SET private = set_byte(private, 40, get_byte(private, 40) # 1)"
    databases.execute(site.gateway.settings.database_url, damage)
    found = (await asyncio.to_thread(_report, cli))["key ring fits"]
    assert found["level"] == "warn"
    assert "cannot be opened" in found["found"]


def test_accounts_are_loaded_as_the_gateway_loads_them(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "accounts.toml"
    config.write_text(
        "".join(
            f'[[accounts]]\nprovider = "{provider}"\nname = "{name}"\nchannels = ["web"]\n'
            f'secrets = ["env:{variable}"]\n'
            for provider, name, variable in (
                ("standard_webhooks", "good", "GOOD"),
                ("standard_webhooks", "empty", "NOT_SET"),
                ("standard_webhooks", "bad", "BAD"),
                ("unknown", "x", "GOOD"),
            )
        )
    )
    found = _report(
        cli,
        TIDEGATE_CONFIG=str(config),
        GOOD="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        BAD="whsec_!!hush!!",
    )
    assert found["account standard_webhooks/good"]["level"] == "ok"
    assert "env:NOT_SET" in found["account standard_webhooks/empty"]["found"]
    assert found["account standard_webhooks/bad"]["level"] == "fail"
    assert "hush" not in json.dumps(found)
    assert "unknown provider" in found["account unknown/x"]["found"]


@pytest.mark.parametrize(
    ("token", "level", "text"),
    [
        ("", "ok", "http://stock/ask is called, within 0.2 s, without a token"),
        ("env:STOCK", "ok", "with a token"),
        ("env:NOT_SET", "fail", "env:NOT_SET"),
        ("hush", "fail", "env:NAME"),
    ],
)
def test_the_token_of_the_inventory_is_checked(cli: Cli, token: str, level: str, text: str) -> None:
    found = _report(
        cli,
        TIDEGATE_INVENTORY_URL="http://stock/ask",
        TIDEGATE_INVENTORY_TOKEN=token,
        STOCK="hush",
    )
    assert found["inventory"]["level"] == level
    assert text in found["inventory"]["found"]
    assert "hush" not in json.dumps(found)


@pytest.mark.parametrize(
    ("ahead_s", "level"), [(0.2, "ok"), (-0.9, "ok"), (1.5, "warn"), (-3, "warn"), (90, "fail")]
)
def test_clock_skew_is_checked_in_both_directions(ahead_s: float, level: str) -> None:
    assert postgres.clock_finding(timedelta(seconds=ahead_s)).level == level


@pytest.mark.parametrize(
    ("info", "level"),
    [
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "ok"),
        ({"redis_version": "7.2.4"}, "ok"),
        ({"redis_version": "8.0.0"}, "ok"),
        ({"redis_version": "7.0.15"}, "fail"),
        ({}, "fail"),
    ],
)
def test_valkey_and_redis_are_distinguished(info: dict[str, str], level: str) -> None:
    found = redis_server.version(info, check="redis")
    assert (found.check, found.level) == ("redis", level)
    assert found.found.startswith("Valkey" if "valkey_version" in info else "Redis")


@pytest.mark.parametrize(
    ("soft", "level"),
    [(512, "fail"), (1024, "warn"), (4096, "ok"), (resource.RLIM_INFINITY, "ok")],
)
def test_descriptors_are_compared_with_the_connections(
    monkeypatch: pytest.MonkeyPatch, soft: int, level: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, soft))
    assert machine.descriptors(2000).level == level
