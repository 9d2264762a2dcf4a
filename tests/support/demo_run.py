"""A small run of the demo against a database of its own."""

import dataclasses
from pathlib import Path

from gateway.runtime.settings import Channel, Settings
from gateway.wiring import open_gateway
from loadtest.demo import plan
from loadtest.demo.drive import drive
from loadtest.deployment import CHANNELS, Deployment
from loadtest.history import CallbackSent, History
from ops.embedded.cluster import Servers
from tests.support import databases
from tests.support.payers import Payers
from tests.support.site import serve
from workers.rounds import Rounds
from workers.sweeper import Sweeper

ORDERS = 240


@dataclasses.dataclass
class DemoRun:
    """The history of the senders, and the database that must agree with it."""

    history: History
    url: str
    forged: CallbackSent


async def play(servers: Servers, *, keyring: Path, directory: Path) -> DemoRun:
    """Create a database, send the demo to a gateway on it, and match early payments."""
    name = "t_played"
    databases.copy(servers, keyring, name)
    payers = Payers(directory)
    drawn = plan.draw(ORDERS, payers.accounts, seed=1)
    settings = Settings(
        database_url=servers.url_of_database(name),
        keyring_file=str(keyring),
        accounts=payers.settings,
        channels=[Channel(name, recipient="optional") for name in CHANNELS],
    )
    async with open_gateway(settings) as gateway, serve(gateway) as site:
        deployment = Deployment(site.url, site.token, settings.database_url, "", directory)
        await drive(drawn, deployment, connections=20, say=lambda _: None)
        sweeper = Sweeper(
            maintenance=gateway.maintenance,
            intake=gateway.intake,
            rounds=Rounds(task="sweeper", clock=gateway.clock, overdue_s=60.0),
            sweep_s=1,
            unknown_order_s=900,
        )
        await sweeper.sweep()
    forged = next(sent for sent in drawn.history.callbacks if sent.is_forged)
    return DemoRun(drawn.history, settings.database_url, forged)
