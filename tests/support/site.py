"""A gateway in this process on a real socket, and a client with an API key."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gateway.clients.certificate_fetch import CertificateFetcher
from gateway.clients.inventory import HttpInventory
from gateway.domain.access import ROLES, Role
from gateway.runtime.live import Live
from gateway.stores.postgres.api_keys import ApiKeys
from gateway.web import accounts as provider_accounts
from gateway.web import process, wiring
from gateway.web.dispatcher import Dispatcher
from gateway.web.handlers.callbacks import Accounts
from gateway.wiring import Gateway


@dataclass
class Site:
    """A running gateway and its address. ``client`` sends a key with every role."""

    gateway: Gateway
    server: Dispatcher
    host: str
    port: int
    client: aiohttp.ClientSession
    token: str
    #: What a reload replaces, beside the parts of ``gateway`` and ``server``.
    accounts: Live[Accounts]
    inventory: HttpInventory

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def token_for(
        self,
        *roles: Role,
        channels: Sequence[str] = (),
        name: str = "test",
        is_test: bool = False,
    ) -> str:
        """Create a key with these roles only; return its token."""
        keys = ApiKeys(pool=self.gateway.stores.primary)
        _, token = await keys.create(name, roles, channels, actor="test", is_test=is_test)
        return token

    async def submit(self, body: bytes, **headers: str) -> tuple[int, dict[str, object]]:
        """POST an order; return status and decoded body."""
        all_headers = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with self.client.post("/v1/orders", data=body, headers=all_headers) as response:
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def serve(gateway: Gateway, *, token: str | None = None) -> AsyncIterator[Site]:
    """Listen on a free port of the loopback until the block ends.

    ``token``: of a key that is there already, where none can be made.
    """
    certificates = CertificateFetcher(clock=gateway.clock)
    inventory = wiring.open_inventory(gateway.settings)
    accounts = Live(provider_accounts.build(gateway.settings, before={}))
    server = wiring.build_server(
        gateway,
        asyncio.Event(),
        accounts=accounts,
        certificates=certificates,
        inventory=inventory,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    opened = process.open_listener(server, listener, gateway)
    if token is None:
        keys = ApiKeys(pool=gateway.stores.primary)
        _, token = await keys.create("test", ROLES, [], actor="test")
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(f"http://{host}:{port}", headers=headers) as client:
        yield Site(gateway, server, host, port, client, token, accounts, inventory)
    opened.stop()
    server.pre_shutdown()
    await server.shutdown(2.0)
    opened.close()
    await certificates.close()
    await inventory.close()
