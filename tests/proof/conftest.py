"""Provider accounts for every proof, and a demo run with its ledger."""

import asyncio
from pathlib import Path

import pytest

from gateway.runtime.settings import Account
from ops.embedded.cluster import Servers
from tests.support import demo_run
from tests.support.payers import Payers


@pytest.fixture
def payers(tmp_path: Path) -> Payers:
    return Payers(tmp_path)


@pytest.fixture
def accounts(payers: Payers) -> list[Account]:
    return payers.settings


@pytest.fixture(scope="session")
def world(
    servers: Servers, keyring: Path, tmp_path_factory: pytest.TempPathFactory
) -> demo_run.DemoRun:
    """One run for the session; a test that changes it changes a copy, or rolls back."""
    directory = tmp_path_factory.mktemp("played")
    return asyncio.run(demo_run.play(servers, keyring=keyring, directory=directory))
