"""`tidegate simulate PROVIDER --demo` beside a running `tidegate up`, as a newcomer gives it."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.harness import environment
from ops.simulators import registry
from tests.ops.embedded.support import new_directory
from tests.ops.test_up import Up
from tests.support.patience import HANG_S

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A directory with a running `tidegate up`."""
    made = new_directory()
    up = Up(directory=made)
    try:
        up.wait_for("Ctrl-C stops")
        yield made
    finally:
        up.end(signal.SIGTERM)
        shutil.rmtree(made)


def simulate(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    url = next(
        line.partition("=")[2]
        for line in (directory / ".tidegate/env").read_text().splitlines()
        if line.startswith("export TIDEGATE_URL=")
    )
    return subprocess.run(
        [sys.executable, "-P", "-m", "ops.cli", "simulate", *arguments],
        cwd=directory,
        env={**environment.without_settings(), "TIDEGATE_URL": url},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


@pytest.mark.parametrize("name", [name for name in registry.names() if name != "kuaidi100"])
def test_one_command_shows_a_paid_order(directory: Path, name: str) -> None:
    """The account is made and read, the order paid once, the forgery rejected, a part refunded."""
    run = simulate(directory, name, "--demo")
    assert run.returncode == 0, (
        run.stdout + run.stderr,
        (directory / ".tidegate/log/gateway.log").read_text()[-3000:],
    )
    assert f"put the account {name}/main into {directory}/tidegate.toml" in run.stdout
    assert "paid, forged: changed" in run.stdout
    assert "199.00 of 199.00 CNY paid, 1.00 refunded" in run.stdout
    assert run.stdout.rstrip().endswith("the forgery was rejected.")
    again = simulate(directory, name, "--demo")
    assert again.returncode == 0, again.stdout + again.stderr
    accounts = tomllib.loads((directory / "tidegate.toml").read_text())["accounts"]
    assert [each["provider"] for each in accounts].count(name) == 1


def test_without_a_gateway_it_says_how_to_start_one(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-P", "-m", "ops.cli", "simulate", "stripe", "--demo"],
        cwd=tmp_path,
        env=environment.without_settings(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "start it with `make run`" in run.stderr
    assert "--ephemeral or another --state-dir is not found" in run.stderr
    assert os.listdir(tmp_path) == []
