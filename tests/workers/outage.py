"""A gateway and a drainer whose primary hangs on a cable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from gateway.domain import orders
from gateway.domain.errors import Unavailable
from gateway.runtime.settings import Settings
from gateway.wiring import Gateway, open_gateway
from tests.domain.support import due
from tests.stores.support import Database, rows, submit, with_
from tests.support.cable import Cable, cable_to
from tests.support.patience import HANG_S
from workers import supervisor
from workers.drainer import Drainer


def numbered(n: int = 1, **changes: Any) -> orders.Submission:
    """Return order ``W-n``."""
    return due(n, **{"order_no": f"W-{n}", **changes})


class Outage:
    """A gateway whose primary hangs on a cable, with a journal, and a drainer beside it."""

    def __init__(self, gateway: Gateway, cable: Cable) -> None:
        self.gateway = gateway
        self.cable = cable

    def drainer(self, **parts: Any) -> Drainer:
        """Make a drainer as the worker does, some of its parts put in place."""
        made = supervisor.tasks(self.gateway)["drainer"]
        assert isinstance(made, Drainer)
        for name, part in parts.items():
            setattr(made, f"_{name}", part)
        return made

    async def mend(self) -> None:
        """Bring Postgres back and wait until orders are committed again."""
        self.cable.mend()
        async with asyncio.timeout(HANG_S):
            n = 0
            while True:
                n += 1
                try:
                    if not (await submit(self.gateway, numbered(900_000 + n))).is_journaled:
                        return
                except Unavailable:
                    pass
                await asyncio.sleep(0.1)

    async def drained(self) -> None:
        """Drain as a worker does until nothing waits."""
        worker = self.drainer()
        async with asyncio.timeout(HANG_S):
            while await self.waiting():
                await worker.round()

    async def waiting(self) -> int:
        """Return how many entries the journal holds."""
        streams = self.gateway.stores.journal_streams
        assert streams is not None
        return (await streams.depth()).entries


@asynccontextmanager
async def outage_of(settings: Settings) -> AsyncIterator[Outage]:
    async with cable_to(settings.database_url) as cable:
        changed = with_(settings, database_url=cable.url, replica_urls="")
        async with open_gateway(changed) as gateway:
            yield Outage(gateway, cable)
            cable.mend()


async def ids(ledger: Database) -> list[UUID]:
    return [id_ for (id_,) in await rows(ledger, "orders", "id")]
