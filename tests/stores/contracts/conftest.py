"""Each contract runs over the fake of the tests and over the real store.

A fake that answers otherwise than the store would let every test that uses it prove nothing.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from gateway.runtime.settings import Settings
from gateway.wiring import Gateway
from tests.stores.support import gateways, with_
from tests.support import databases
from tests.support.cable import Cable, cable_to
from tests.support.valkey_cluster import Server

#: The real one needs a server; ``make test-fast`` runs the other alone.
EITHER = ["fake", pytest.param("real", marks=pytest.mark.servers)]


@dataclass
class RealLedger:
    """A gateway whose primary is behind a cable."""

    gateway: Gateway
    cable: Cable
    superuser_url: str

    @contextmanager
    def away(self) -> Iterator[None]:
        """Lend a time in which the primary resets every connection."""
        self.cable.cut()
        yield
        self.cable.mend()

    def execute(self, *statements: str) -> None:
        """Run statements as the superuser."""
        databases.execute(self.superuser_url, *statements)


@pytest.fixture(params=EITHER)
def valkey_or_none(request: pytest.FixtureRequest) -> Server | None:
    """None for the fake; for the real store the module's Valkey, emptied."""
    if request.param == "fake":
        return None
    server: Server = request.getfixturevalue("module_valkey")
    server.client.flushall()
    return server


@pytest.fixture(params=EITHER)
def ledger_or_none(request: pytest.FixtureRequest) -> RealLedger | None:
    """None for the fake; for the real store a gateway over the emptied ledger."""
    if request.param == "fake":
        return None
    ledger: RealLedger = request.getfixturevalue("real_ledger")
    return ledger


@pytest.fixture
async def real_ledger(settings: Settings, superuser_url: str) -> AsyncIterator[RealLedger]:
    async with cable_to(settings.database_url) as cable:
        changed = with_(settings, database_url=cable.url, replica_urls="", journal_url="")
        async with gateways(changed) as (gateway,):
            yield RealLedger(gateway, cable, superuser_url)
            cable.mend()
