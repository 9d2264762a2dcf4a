"""The harness that starts gateways for `tidegate up`, the load tests and the tests."""

import http.server
import os
import signal
import socket
import stat
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded import errors, processes
from ops.embedded.processes import Service
from ops.harness import accounts_file, command_line, environment, first_start, listen_address
from ops.harness.gateway_process import EndedEarly, Services, wait_ready
from ops.harness.listen_address import ListenAddress
from ops.harness.ports import accepts, free_port
from tests.support.patience import HANG_S

ROOT = Path(__file__).resolve().parents[2]
SLEEPS = "import time; time.sleep(60)"


def started(script: str, directory: Path, *, own_session: bool = True) -> Service:
    return processes.start(
        "script",
        [sys.executable, "-c", script],
        log=directory / "script.log",
        environment=dict(os.environ),
        death_signal=signal.SIGTERM,
        own_session=own_session,
    )


class _Readiness(http.server.BaseHTTPRequestHandler):
    """Answers 503 twice, then 200."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        self.send_response(200 if type(self).requests > 2 else 503)
        self.end_headers()
        self.wfile.write(b"starting")

    def log_request(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def readiness() -> Iterator[int]:
    _Readiness.requests = 0
    with http.server.HTTPServer(("127.0.0.1", 0), _Readiness) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    assert not accepts(port)
    with socket.create_server(("127.0.0.1", port)):
        assert accepts(port)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("gateway.example", "http://gateway.example:80"),
    ],
)
def test_the_url_of_an_address_reaches_it_from_this_machine(host: str, url: str) -> None:
    assert ListenAddress(host, 80).url == url


def test_a_get_without_an_answer_has_status_0() -> None:
    assert listen_address.loopback(free_port()).get("/readyz") == (0, "")


def test_a_get_does_not_go_through_a_proxy(readiness: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert listen_address.loopback(readiness).get("/readyz") == (503, "starting")


@pytest.mark.servers
def test_a_child_runs_this_code_in_any_working_directory(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "__init__.py").write_text("raise SystemExit('another ops')")
    printed = processes.run(
        command_line.python_module("ops.harness.ports"),
        environment=environment.without_settings(),
        cwd=str(tmp_path),
    )
    assert printed == ""
    with pytest.raises(processes.HelperFailed, match="another ops"):
        processes.run(
            [sys.executable, "-m", "ops.harness.ports"],
            environment=environment.without_settings(),
            cwd=str(tmp_path),
        )


def test_the_settings_of_a_user_do_not_reach_a_gateway_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEGATE_ROLE", "query")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    clean, inherited = environment.without_settings(), environment.inherited()
    assert "TIDEGATE_ROLE" not in clean
    assert inherited["TIDEGATE_ROLE"] == "query"
    for variables in (clean, inherited):
        assert variables["PYTHONPATH"] == f"{ROOT}{os.pathsep}/elsewhere"
        assert variables["PATH"] == os.environ["PATH"]
    assert environment.settings(drain_s=1.5, role="core") == {
        "TIDEGATE_DRAIN_S": "1.5",
        "TIDEGATE_ROLE": "core",
    }


def test_an_account_is_read_as_it_was_written() -> None:
    options = {
        "livemode": True,
        "certificate": '-----BEGIN "X"-----\n\\\n',
        "名": ["茶", 1],
        "nested": {"a b": {"c": "d"}},
    }
    written = [
        accounts_file.section(
            provider="stripe", name=name, channels=["web", "app"], secrets=["s"], options=given
        )
        for name, given in (("main", options), ("other", {}))
    ]
    first, second = tomllib.loads("\n".join(written))["accounts"]
    assert first == {
        "provider": "stripe",
        "name": "main",
        "channels": ["web", "app"],
        "secrets": ["s"],
        "options": options,
    }
    assert "options" not in second


def test_secrets_are_written_to_private_files(tmp_path: Path) -> None:
    references = accounts_file.write_secrets(tmp_path, "stripe", ["one", "two"])
    files = [Path(name.removeprefix("file:")) for name in references]
    assert [file.read_text() for file in files] == ["one", "two"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.servers
def test_it_is_ready_when_readyz_answers_200(readiness: int, tmp_path: Path) -> None:
    with Services(stop_timeout_s=5) as services:
        service = services.add(started(SLEEPS, tmp_path))
        pauses: list[float] = []
        wait_ready(listen_address.loopback(readiness), [service], timeout_s=30, pause=pauses.append)
        assert len(pauses) == 2
    assert service.exit_status == -signal.SIGTERM


@pytest.mark.servers
def test_one_that_ends_while_starting_is_reported_with_its_log(tmp_path: Path) -> None:
    service = started("print('no keyring'); raise SystemExit(2)", tmp_path)
    with pytest.raises(errors.NotReady, match=r"(?s)ended while starting \(status 2\).*no keyring"):
        wait_ready(listen_address.loopback(free_port()), [service], timeout_s=30)


@pytest.mark.servers
def test_one_that_is_never_ready_is_reported_with_its_answer(
    readiness: int, tmp_path: Path
) -> None:
    service = started(SLEEPS, tmp_path)
    with pytest.raises(errors.NotReady, match="not ready after 0 s: starting"):
        wait_ready(listen_address.loopback(readiness), [service], timeout_s=0)
    service.kill()


@pytest.mark.servers
def test_one_that_ends_by_itself_fails_the_block(tmp_path: Path) -> None:
    ended = started("print('out of memory'); raise SystemExit(1)", tmp_path)
    running = started(SLEEPS, tmp_path)
    with (
        pytest.raises(EndedEarly, match="out of memory"),
        Services(stop_timeout_s=5) as services,
    ):
        services.add(ended)
        services.add(running)
        ended.process.wait(HANG_S)
    assert running.exit_status == -signal.SIGTERM


@pytest.mark.servers
def test_an_error_of_the_block_is_not_hidden(tmp_path: Path) -> None:
    ended = started("raise SystemExit(1)", tmp_path)
    with pytest.raises(KeyError), Services(stop_timeout_s=5) as services:
        services.add(ended)
        ended.process.wait(HANG_S)
        raise KeyError


@pytest.mark.servers
@pytest.mark.parametrize("own_session", [True, False])
def test_one_that_does_not_stop_is_killed(tmp_path: Path, own_session: bool) -> None:
    mark = tmp_path / "ready"
    script = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(mark)!r}).touch(); time.sleep(60)"
    )
    with Services(stop_timeout_s=0.1) as services:
        service = services.add(started(script, tmp_path, own_session=own_session))
        while not mark.exists():
            assert service.exit_status is None
    assert service.exit_status == -signal.SIGKILL


def test_keys_are_made_in_the_order_an_operator_would() -> None:
    called = []

    def tidegate(*arguments: str) -> str:
        called.append(arguments)
        return '{"token": "tg_1"}' if arguments[0] == "keys" else ""

    assert first_start.prepare(tidegate, key_name="k", roles=["ingest", "query"]) == "tg_1"
    assert called == [
        ("keys", "seal-init", "--if-missing"),
        ("migrate",),
        ("keys", "create", "--name", "k", "--role", "ingest", "--role", "query", "--json"),
    ]


@pytest.mark.parametrize("printed", ["", "{}", "[]", "null"])
def test_a_command_that_prints_no_token_is_reported(printed: str) -> None:
    with pytest.raises(errors.CannotStart, match="printed no token"):
        first_start.create_api_key(lambda *_: printed, name="k", roles=["query"])
