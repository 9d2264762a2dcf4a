"""`tidegate up`: one command, one paste, one Ctrl-C."""

import fcntl
import http.client
import json
import os
import pty
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from click.testing import CliRunner

from gateway.runtime.settings import Settings
from ops.cli import main
from ops.up.greeting import curl
from ops.up.restarts import DEATHS_MAX, WINDOW_S, Deaths
from tests.ops.embedded.support import new_directory
from tests.support.patience import HANG_S, until_blocking

ROOT = Path(__file__).resolve().parents[2]


class Up:
    """A running `tidegate up`, and what it has printed."""

    def __init__(
        self,
        *options: str,
        directory: Path = ROOT,
        variables: Mapping[str, str] | None = None,
        terminal: int | None = None,
    ) -> None:
        """``terminal``: the inner end of one that becomes its own."""
        inherited = {name: value for name, value in os.environ.items() if "TIDEGATE" not in name}
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "up", "--port=0", *options],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**inherited, "PYTHONPATH": str(ROOT), **(variables or {})},
            stdin=terminal,
            start_new_session=terminal is not None,
            preexec_fn=None if terminal is None else _take_terminal,  # noqa: PLW1509  # one system call
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def wait_for(self, pattern: str) -> str:
        """The first match in its output; fails after HANG_S."""
        assert self._process.stdout is not None
        deadline_s = time.monotonic() + HANG_S
        while (found := re.search(pattern, self.output, re.DOTALL)) is None:
            assert time.monotonic() < deadline_s, self.output
            assert self._process.poll() is None, self.output
            self.output += (self._process.stdout.read() or b"").decode()
            time.sleep(0.02)
        return found[0]

    def descendants(self) -> list[int]:
        return _descendants(self._process.pid)

    def started(self) -> dict[str, int]:
        """The processes it has started itself, by name."""
        directory = Path(self.wait_for(r"logs +(\S+)").split()[-1]).parent
        return {
            file.name: int(file.read_text().split()[0]) for file in (directory / "pids").iterdir()
        }

    def hang_up(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    def end(self, how: signal.Signals | None) -> int:
        """The exit status after this signal, if any. Harmless when it has ended."""
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return self._process.wait()
        if how is not None:
            self._process.send_signal(how)
        try:
            status = self._process.wait(HANG_S)
        finally:
            self._process.kill()
            self.output += (self._process.stdout.read() or b"").decode()
            self._process.stdout.close()
        return status


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _descendants(pid: int) -> list[int]:
    children = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [p for child in children for p in (child, *_descendants(child))]


def _variable(pid: int, name: str) -> str:
    """The variable of this process' environment; empty when it is not set."""
    for line in Path(f"/proc/{pid}/environ").read_text().split("\0"):
        if line.startswith(f"{name}="):
            return line.partition("=")[2]
    return ""


def _has_reloaded(log: Path) -> bool:
    return '"reloaded"' in log.read_text()


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def shell_words(command: str) -> list[str]:
    """The arguments a shell makes of the command, which is not run."""
    script = r'curl() { printf "%s\0" "$@"; }; ' + command
    shell = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return shell.stdout.decode().split("\0")[:-1]


def paste(command: str) -> tuple[int, dict[str, Any]]:
    """Status and body of the request that the printed command makes."""
    words = shell_words(command)
    url = urlsplit(next(word for word in words if word.startswith("http")))
    headers = dict(words[n + 1].split(": ", 1) for n, word in enumerate(words) if word == "-H")
    assert url.hostname is not None
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=HANG_S)
    try:
        connection.request("POST", url.path, words[words.index("-d") + 1], headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """One `tidegate up --ephemeral`."""
    running = Up("--ephemeral")
    try:
        running.wait_for("Ctrl-C stops")
        yield running
    finally:
        running.end(signal.SIGTERM)


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that the user of the servers may pass through."""
    made = new_directory()
    yield made
    shutil.rmtree(made)


def test_the_printed_command_places_an_order(up: Up) -> None:
    """The printed curl, pasted, places an order; pasted again later, another one."""
    command = up.wait_for(r"curl -sS.*?\n\n").strip()
    status, first = paste(command)
    assert status == 201
    time.sleep(1.1)
    status, second = paste(command)
    assert status == 201
    assert first["id"] != second["id"]


def sourced(env: Path) -> dict[str, str]:
    """The variables of a shell that has sourced STATE/env."""
    run = subprocess.run(
        ["sh", "-c", f". {shlex.quote(str(env))}; env -0"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    pairs = (line.partition("=") for line in run.stdout.decode().split("\0") if line)
    return {name: value for name, _, value in pairs if name.startswith("TIDEGATE_")}


def get(url: str, api_key: str) -> int:
    """The status of a list of orders there, with this key."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=HANG_S)
    try:
        connection.request("GET", "/v1/orders", headers={"Authorization": f"Bearer {api_key}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_printed_line_gives_a_shell_the_address_and_the_key(up: Up) -> None:
    """What is printed to be sourced works, also where the state directory is a temporary one."""
    env = Path(shlex.split(up.wait_for(r"\n  \. \S+/env\n"))[1])
    assert f"(in {env.parent}/api-key)" in up.output
    variables = sourced(env)
    assert get(variables["TIDEGATE_URL"], variables["TIDEGATE_API_KEY"]) == 200
    assert variables["TIDEGATE_API_KEY"] == (env.parent / "api-key").read_text().strip()
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


@pytest.mark.servers
def test_a_restart_in_a_shell_that_sourced_its_addresses(directory: Path) -> None:
    """It starts its own servers again, migrates nothing, and the key stays valid."""
    state = directory / "state"
    first = Up("--state-dir", str(state))
    try:
        first.wait_for("Ctrl-C stops")
        assert "migrating the database" in first.output
    finally:
        assert first.end(signal.SIGTERM) == 0, first.output
    variables = sourced(state / "env")
    second = Up("--state-dir", str(state), variables=variables)
    try:
        second.wait_for("Ctrl-C stops")
        assert set(second.started()) == {
            "primary", "replica", "valkey", "journal", "gateway", "worker", "warehouse",
        }  # fmt: skip
        assert "migrating" not in second.output
        assert "sourced" not in second.output
        again = sourced(state / "env")
        assert again["TIDEGATE_API_KEY"] == variables["TIDEGATE_API_KEY"]
        assert get(again["TIDEGATE_URL"], again["TIDEGATE_API_KEY"]) == 200
    finally:
        assert second.end(signal.SIGTERM) == 0, second.output


def test_a_dead_gateway_is_restarted(up: Up) -> None:
    """A killed gateway is restarted, with a message, and answers on the same port."""
    url = urlsplit(up.wait_for(r"http://127\.0\.0\.1:\d+"))
    os.kill(up.started()["gateway"], signal.SIGKILL)
    up.wait_for(r"The gateway ended by itself \(status -9\): restarting it")
    deadline_s = time.monotonic() + HANG_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=HANG_S)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("label", "content"), [("worker", b"tidegate_worker_rounds_total"), ("its API", b"submitOrder")]
)
def test_the_greeting_says_where_metrics_and_api_are(up: Up, label: str, content: bytes) -> None:
    url = urlsplit(up.wait_for(rf"{label} +(http://\S+)").split()[-1])
    connection = http.client.HTTPConnection("127.0.0.1", url.port, timeout=HANG_S)
    connection.request("GET", url.path)
    response = connection.getresponse()
    assert response.status == 200
    assert content in response.read()
    connection.close()


def test_the_journal_is_configured_everywhere(up: Up) -> None:
    """Gateway, worker, the file of settings and the greeting name the journal's own server."""
    place = up.wait_for(r"Valkey for the journal +127\.0\.0\.1:\d+").split()[-1]
    directory = Path(up.wait_for(r"logs +(\S+)").split()[-1]).parent
    pids = up.started()
    url = _variable(pids["worker"], "TIDEGATE_JOURNAL_URL")
    assert url.endswith(f"@{place}/0")
    assert _variable(pids["gateway"], "TIDEGATE_JOURNAL_URL") == url
    assert f"export TIDEGATE_JOURNAL_URL={url}\n" in (directory / "env").read_text()
    assert _variable(pids["worker"], "TIDEGATE_REDIS_URL") != url


def test_a_dead_journal_is_restarted(up: Up) -> None:
    """The journal's server is restarted like the others, with everything it acknowledged."""
    url = _variable(up.started()["worker"], "TIDEGATE_JOURNAL_URL")
    with redis.Redis.from_url(url, protocol=2) as client:
        client.set("stored", "1")
    os.kill(up.started()["journal"], signal.SIGKILL)
    up.wait_for(r"Valkey for the journal ended by itself \(status -9\): restarting it")
    up.wait_for(r"Valkey for the journal is back")
    with redis.Redis.from_url(url, protocol=2) as client:
        assert client.get("stored") == b"1"


def test_sighup_has_the_gateway_and_the_worker_reload(up: Up) -> None:
    """Both say so in their logs, and everything goes on."""
    logs = Path(up.wait_for(r"logs +(\S+)").split()[-1])
    pids = up.started()
    up.hang_up()
    up.wait_for("Reloading the settings")
    for log in (logs / "gateway.log", logs / "worker.log"):
        until_blocking(partial(_has_reloaded, log))
    assert up.started() == pids
    assert all(map(_is_alive, pids.values()))


def test_a_reload_ends_no_gateway_that_starts(up: Up) -> None:
    """It is held back until the gateway listens for it."""
    said = up.output.count("restarting it")
    os.kill(up.started()["gateway"], signal.SIGKILL)
    up.wait_for(rf"(restarting it.*){{{said + 1}}}")
    gateway = Path(up.wait_for(r"logs +(\S+)").split()[-1]) / "gateway.log"
    began = gateway.read_text().count('"listening"')
    reloaded = gateway.read_text().count('"reloaded"')

    def is_back() -> bool:
        up.hang_up()
        return gateway.read_text().count('"listening"') > began

    until_blocking(is_back)
    until_blocking(lambda: gateway.read_text().count('"reloaded"') > reloaded)
    up.wait_for("Reloading")
    assert "status -1" not in up.output


def test_a_signal_drains_and_stops_everything(up: Up) -> None:
    """SIGINT ends it with status 0 and leaves no process and no directory."""
    directory = Path(up.wait_for(r"logs +(\S+)").split()[-1]).parent
    pids = up.descendants()
    assert len(pids) >= 5
    assert up.end(signal.SIGINT) == 0
    assert not [pid for pid in pids if _is_alive(pid)]
    assert not directory.exists()


@pytest.mark.servers
def test_the_end_of_its_terminal_drains_and_stops_everything() -> None:
    """Nothing that was started in a terminal stays when that hangs up."""
    terminal, inside = pty.openpty()
    up = Up("--ephemeral", terminal=inside)
    os.close(inside)
    try:
        up.wait_for("Ctrl-C stops")
        pids = up.descendants()
        os.close(terminal)
        assert up.end(None) == 0
        assert not [pid for pid in pids if _is_alive(pid)]
    finally:
        up.end(signal.SIGTERM)


def test_a_host_of_no_machine_is_named_with_any_port() -> None:
    run = CliRunner().invoke(main, ["up", "--ephemeral", "--host", "300.1.1.1", "--port", "0"])
    assert run.exit_code == 1, run.output
    assert "cannot listen on 300.1.1.1:0 (" in run.stderr
    assert "--host or TIDEGATE_HOST" in run.stderr


def test_no_journal_is_ephemeral_when_the_database_is_not(settings: Settings) -> None:
    """With `--ephemeral` and the user's own database there is no embedded journal."""
    up = Up(
        "--ephemeral",
        variables={
            "TIDEGATE_DATABASE_URL": settings.database_url,
            "TIDEGATE_KEYRING_FILE": settings.keyring_file,
        },
    )
    try:
        up.wait_for("Ctrl-C stops")
        pids = up.started()
        assert set(pids) == {"valkey", "gateway", "worker"}
        assert not _variable(pids["worker"], "TIDEGATE_JOURNAL_URL")
    finally:
        up.end(signal.SIGTERM)


@pytest.mark.servers
def test_the_example_is_one_argument_for_the_shell() -> None:
    """The example order survives the shell's quoting, with a unique order number."""
    words = shell_words(curl(url="http://h:1", api_key="k'; echo", environ={}))
    order = json.loads(words[words.index("-d") + 1])
    assert re.fullmatch(r"demo-\d{10}", order["order_no"])
    assert "Authorization: Bearer k'; echo" in words
    assert (
        shlex.split("--noproxy '*'")
        == shell_words(curl(url="http://h:1", api_key="k", environ={"http_proxy": "http://p"}))[1:3]
    )


def test_restarts_back_off_and_end() -> None:
    """Each quick death doubles the delay, and the fifth within a minute ends the restarts."""
    deaths = Deaths()
    delays_s = [deaths.record(float(n)) for n in range(DEATHS_MAX)]
    assert delays_s == [0.2, 0.4, 0.8, 1.6, None]


def test_rare_deaths_do_not_count() -> None:
    """Deaths further apart than the window each count alone."""
    deaths = Deaths()
    assert {deaths.record(n * (WINDOW_S + 1)) for n in range(20)} == {0.2}
