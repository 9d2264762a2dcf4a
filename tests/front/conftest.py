"""Gateways of both roles, with a front before them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from gateway.runtime.settings import Account
from loadtest import sending
from ops.harness.ports import free_port
from tests.support import fronts
from tests.support.fronts import Kind, Limits
from tests.support.payers import Payers
from tests.support.processes import Processes


@dataclass
class Gateways:
    """A process of each role, an API key, and a directory for the files of the front."""

    core: subprocess.Popen[bytes]
    query: subprocess.Popen[bytes]
    core_port: int
    query_port: int
    token: str
    kind: Kind
    directory: Path

    @contextmanager
    def fronted(self, limits: Limits | None = None) -> Iterator[str]:
        """Yield the URL of a front."""
        with fronts.running(
            self.kind,
            core=[self.core_port],
            query=[self.query_port],
            directory=self.directory,
            limits=limits,
        ) as port:
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(params=["haproxy", "nginx"])
def front_kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    fronts.program(kind)
    return kind


@pytest.fixture
def payers(tmp_path: Path) -> Payers:
    return Payers(tmp_path)


@pytest.fixture
def accounts(payers: Payers) -> list[Account]:
    return payers.settings


@pytest.fixture
async def gateways(front_kind: Kind, processes: Processes, tmp_path: Path) -> Gateways:
    processes.environment["TIDEGATE_KEEPALIVE_S"] = "75"
    token = await processes.make_token("ingest", "query")
    core_port, query_port = free_port(), free_port()
    core = await asyncio.to_thread(processes.serve, port=core_port, role="core")
    query = await asyncio.to_thread(processes.serve, port=query_port, role="query")
    return Gateways(core, query, core_port, query_port, token, front_kind, tmp_path)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with sending.session(200) as opened:
        yield opened
