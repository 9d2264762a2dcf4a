"""Web tests run on uvloop as production does, for transports buffer differently on other loops.

The tests of a module share a database: their orders are all distinct.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
import uvloop

from tests.support.databases import module_database as database  # noqa: F401 - used by its name
from tests.support.site import Site
from tests.web.support import REGULAR_PATH, Wire


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _no_fault_is_swallowed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail the test on any internal error, whatever the response was."""
    yield
    faults = [record for record in caplog.get_records("call") if record.msg == "a request failed"]
    assert [record.exc_info for record in faults] == []


@pytest.fixture
def wire(site: Site) -> Wire:
    return Wire(site.host, site.port, site.token)


@pytest.fixture(params=["fast path", "regular path"])
async def both_paths(request: pytest.FixtureRequest, wire: Wire) -> Wire:
    """Send submissions by each path; the fast path is for cached keys, so the key is used once."""
    wire.always = REGULAR_PATH if request.param == "regular path" else ()
    assert (await wire.submit(b"{}")).status == 422
    return wire
