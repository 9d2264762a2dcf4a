"""`tidegate up` and its warehouse: who has one, and what it leaves in the settings."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gateway.runtime import settings_source
from ops.harness import command_line
from ops.simulation.orders import Key, Orders
from ops.up import surroundings, warehouse
from ops.up.greeting import greeting
from ops.up.warehouse import Warehouse
from tests.ops.embedded.support import new_directory
from tests.ops.test_up import ROOT, Up, sourced
from tests.support.patience import until_blocking

TARGET = """
[[targets]]
name = "wms"
kind = "webhook"
url = "https://wms.example.com/hand-off"
secrets = ["env:S"]
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("asked", "environ", "file", "wanted"),
    [
        (None, {}, "", True),
        (False, {}, "", False),
        (None, {"TIDEGATE_DATABASE_URL": "postgresql://h/d"}, "", False),
        (True, {"TIDEGATE_DATABASE_URL": "postgresql://h/d"}, "", True),
        (None, {"TIDEGATE_REDIS_URL": "redis://h"}, "", True),
        (None, {}, TARGET, False),
        (True, {}, TARGET, True),
    ],
)
def test_it_runs_where_nobody_else_ships_or_when_it_is_asked_for(
    asked: bool | None, environ: Mapping[str, str], file: str, wanted: bool
) -> None:
    settings_source.DEFAULT_FILE.write_text(file)
    around = surroundings.look(environ, None)
    assert warehouse.is_wanted(asked, around) is wanted


def test_its_settings_are_valid_and_its_secrets_stay(tmp_path: Path) -> None:
    first = Warehouse(tmp_path, port=8099)
    first.configure(["web", "app"])
    loaded = settings_source.load(
        {
            "TIDEGATE_DATABASE_URL": "postgresql://nowhere",
            "TIDEGATE_CONFIG_ADDED": str(first.settings_file),
        }
    )
    (account,), (target,) = loaded.accounts, loaded.targets
    assert account.channels == target.channels == ["web", "app"]
    assert target.url == "http://127.0.0.1:8099/hand-off"
    assert not target.is_test
    secrets = [Path(each.removeprefix("file:")) for each in (*account.secrets, *target.secrets)]
    before = [file.read_text() for file in secrets]
    assert len(set(before)) == 2
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in secrets)
    Warehouse(tmp_path, port=8100).configure(["web"])
    assert [file.read_text() for file in secrets] == before
    assert tomllib.loads(first.settings_file.read_text())["accounts"][0]["channels"] == ["web"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8099", ""])
def test_the_greeting_tells_of_it_only_where_it_is(url: str) -> None:
    text = greeting(
        url="http://127.0.0.1:8080", places=[], state=Path("s"), api_key="k",
        warehouse_url=url, restart_hint="",
    )  # fmt: skip
    assert ("ships" in text) is bool(url)
    assert ("curl http://127.0.0.1:8099" in text) is bool(url)
    assert "\n\n\n" not in text


def test_the_greeting_names_the_program_as_it_can_be_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/tidegate", "up"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command_line.as_typed() == ".venv/bin/tidegate"
    text = greeting(
        url="http://127.0.0.1:8080", places=[], state=Path("s"), api_key="k",
        warehouse_url="http://127.0.0.1:8099", restart_hint="", program=command_line.as_typed(),
    )  # fmt: skip
    assert "\n  .venv/bin/tidegate simulate standard_webhooks --demo\n" in text
    assert "`.venv/bin/tidegate doctor`" in text
    (tmp_path / "tidegate").touch(mode=0o755)
    assert command_line.as_typed() == "tidegate"


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that the user of the servers may pass through."""
    made = new_directory()
    yield made
    shutil.rmtree(made)


@pytest.mark.servers
def test_a_newcomers_first_payment_is_shipped_and_completed(directory: Path) -> None:
    """Paid, handed on, accepted, shipped and delivered, with nobody's doing."""
    running = Up(directory=directory)
    try:
        page = running.wait_for(r"curl http://\S+\n").split()[-1]
        variables = sourced(directory / ".tidegate" / "env")
        paid = subprocess.run(
            [sys.executable, "-m", "ops.cli", "simulate", "standard_webhooks", "--demo"],
            cwd=directory,
            env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        order_no = re.search(r"placed the order (\S+)", paid.stdout)
        assert order_no is not None, paid.stdout
        orders = Orders(url=variables["TIDEGATE_URL"], key=Key(variables["TIDEGATE_API_KEY"], ""))

        def is_completed() -> bool:
            found = orders.find(order_no[1], "web")
            return found is not None and found.status == "completed"

        until_blocking(is_completed)
        order = orders.find(order_no[1], "web")
        assert order is not None
        applied = [event.action for event in orders.history(order) if event.outcome == "applied"]
        assert applied.index("accepted") < applied.index("shipped") < applied.index("delivered")
        with urllib.request.urlopen(page) as shown:
            assert f"{order_no[1]}  web      delivered" in shown.read().decode()
    finally:
        assert running.end(signal.SIGTERM) == 0, running.output
