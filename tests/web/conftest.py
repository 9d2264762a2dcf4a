"""Web tests run on the loop that production runs on: what a transport buffers differs by loop.

They share a database by module: their orders are all unlike each other.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping

import asyncpg
import pytest
import uvloop

from ops.embedded.cluster import Servers
from tests.support.site import Site
from tests.web.support import LONG_WAY, Wire


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _no_fault_is_swallowed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An internal error fails the test, whatever became of the request."""
    yield
    faults = [record for record in caplog.get_records("call") if record.msg == "a request failed"]
    assert [record.exc_info for record in faults] == []


@pytest.fixture
def wire(site: Site) -> Wire:
    return Wire(site.host, site.port, site.token)


@pytest.fixture(params=["short way", "long way"])
async def both_ways(request: pytest.FixtureRequest, wire: Wire) -> Wire:
    """The same, for submissions by each way; the short one is for keys that were seen lately."""
    wire.always = LONG_WAY if request.param == "long way" else ()
    assert (await wire.submit(b"{}")).status == 422
    return wire


@pytest.fixture(scope="module")
def database(servers: Servers, template: str) -> Iterator[str]:
    name = f"t_{uuid.uuid4().hex[:12]}"

    async def execute(statement: str) -> None:
        admin = await asyncpg.connect(servers.admin_url)
        await admin.execute(statement)
        await admin.close()

    asyncio.run(execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER tidegate"))
    yield name
    asyncio.run(execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
