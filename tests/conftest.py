"""Real servers for every test that asks: one cluster a session, a fresh database a test.

``servers``   the embedded PostgreSQL (primary and replica), Valkey and journal of the session
``database``  the name of a migrated database, without data; `tests.support.databases` has others
``settings``  settings over that database, the session's replica, Valkey and journal
``ledger``    an open pool for looking into that database
``gateway``   the parts of a process, wired, in this very process
``site``      the same behind a real HTTP socket
``processes`` starts real ``tidegate`` processes and stops them again
"""

import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import redis

from gateway.runtime.settings import Account, Settings
from gateway.stores import sealing
from gateway.wiring import Gateway, open_gateway
from ops.embedded.cluster import Servers
from ops.harness.example_order import example_order
from tests.support import needs_servers
from tests.support.processes import Processes
from tests.support.site import Site, serve

pytest_plugins = ["tests.support.databases"]

# How long an example takes, or to draw some, says how busy the machine is and nothing of what is
# tested: no test fails for it. Loaded before any test module is imported, whose `@settings` add
# to it; all else stays as Hypothesis has it, on a CI server too.
hypothesis.settings.register_profile(
    "any pace",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any pace")

_GUARD = needs_servers.Guard()


def pytest_configure() -> None:
    """Listen to the signals again that nohup, or a job in the background, has ignored.

    What the tests start would inherit it, and would neither stop nor reload when it is told to.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by the mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    needs_servers.mark(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _GUARD.enter(item)
    try:
        return (yield)
    finally:
        _GUARD.leave()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    # No fsync: these tests kill processes, not machines. `make demo` and `make bench` keep it on.
    # The journal's server syncs all the same: the gateway uses no other.
    with Servers(replica=True, fsync=False) as started:
        yield started


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keyring.toml"
    sealing.write_ring(path, sealing.new_ring())
    return path


@pytest.fixture
def valkey(servers: Servers) -> Iterator["redis.Redis"]:
    """The session's Valkey, emptied: digests hold no database name, so tests must not share it."""
    client = redis.Redis.from_url(servers.redis_url, protocol=2)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def journal_server(servers: Servers) -> Iterator["redis.Redis"]:
    """The session's server of the journal, emptied for the same reason."""
    client = redis.Redis.from_url(servers.journal_url, protocol=2)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def accounts() -> list[Account]:
    """Provider accounts of the settings; a test module overrides this."""
    return []


@pytest.fixture
def settings(
    servers: Servers,
    database: str,
    valkey: "redis.Redis",
    journal_server: "redis.Redis",
    keyring: Path,
    accounts: list[Account],
    tmp_path: Path,
) -> Settings:
    return Settings(
        database_url=servers.url_of_database(database),
        replica_urls=servers.url_of_database(database, server="replica"),
        redis_url=servers.redis_url,
        journal_url=servers.journal_url,
        # A busy machine is no outage: only what tests one has the patience of production.
        journal_after_s=2.5,
        keyring_file=str(keyring),
        port=0,
        worker_metrics_port=0,
        control_dir=str(tmp_path / "control"),
        accounts=accounts,
    )


@pytest.fixture
async def ledger(settings: Settings) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    pool = await asyncpg.create_pool(settings.database_url, min_size=1, max_size=4)
    yield pool
    pool.terminate()


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    async with open_gateway(settings) as opened:
        yield opened


@pytest.fixture
async def site(gateway: Gateway) -> AsyncIterator[Site]:
    async with serve(gateway) as served:
        yield served


@pytest.fixture
def processes(settings: Settings, tmp_path: Path) -> Iterator[Processes]:
    with Processes(settings, directory=tmp_path) as started:
        yield started


@pytest.fixture
def order_json() -> bytes:
    """One valid order, the README's."""
    return json.dumps(example_order("W-1001", "b-1")).encode()
