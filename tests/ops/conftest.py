"""The command line in this process, with an environment and a directory of its own."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from gateway.runtime.settings import Settings
from ops.cli import main
from tests.support.patience import HANG_S

Cli = Callable[..., Result]


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of these settings, but for those that only a file can give."""
    return {
        f"TIDEGATE_{name.upper()}": str(getattr(settings, name))
        for name in Settings.__struct_fields__
        if name not in ("channels", "accounts")
    }


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs ``tidegate`` in an empty directory, with the settings of the call alone."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.__struct_fields__:
        monkeypatch.delenv(f"TIDEGATE_{name.upper()}", raising=False)
    monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)

    def run(*arguments: str, **variables: str) -> Result:
        return CliRunner().invoke(main, arguments, env=variables)

    return run


@pytest.fixture
def cli(bare: Cli, settings: Settings) -> Cli:
    """The same with the servers of the session and the test's own database."""

    def run(*arguments: str, **variables: str) -> Result:
        return bare(*arguments, **{**environment(settings), **variables})

    return run


@pytest.fixture
async def replicated(settings: Settings) -> Settings:
    """The settings, once the replica has the test's database."""
    async with asyncio.timeout(HANG_S):
        while True:
            try:
                replica = await asyncpg.connect(settings.replica_urls)
            except asyncpg.InvalidCatalogNameError:
                await asyncio.sleep(0.05)
                continue
            await replica.close()
            return settings
