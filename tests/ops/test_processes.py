"""``serve --processes N``: one port, no orphan, a dead child is replaced, all drain."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.runtime.hangup import Hangups
from gateway.stores import sealing
from ops import supervisor as supervising
from ops.harness.ports import free_port
from ops.supervisor import Supervisor
from tests.support.patience import HANG_S, until_blocking
from tests.support.processes import Processes


def _children(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return list(psutil.Process(parent.pid).children())


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=HANG_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=HANG_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def _listeners(port: int) -> set[int]:
    return {
        process.pid
        for process in psutil.process_iter()
        for connection in _connections(process)
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections("tcp"))
    except psutil.Error:
        return []


def test_the_processes_share_a_port_and_their_metrics(processes: Processes) -> None:
    port = free_port()
    parent = processes.serve(port=port, count=2)
    children = {child.pid for child in _children(parent)}
    assert len(children) == 2
    until_blocking(lambda: _listeners(port) == children)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=HANG_S) as answer:
        assert b"tidegate_requests_total" in answer.read()
    parent.terminate()
    assert parent.wait(HANG_S) == 0
    assert not any(psutil.pid_exists(pid) for pid in children)
    assert not _answers(port)


def _metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=HANG_S) as answer:
        text = answer.read().decode()
    return {
        sample.name + "".join(f" {k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_process_shows_its_own_figures_and_all_their_sums(processes: Processes) -> None:
    """Whichever of them answers; and what a killed one counted stays in the sums."""
    port = free_port()
    parent = processes.serve(port=port, count=2)
    until_blocking(lambda: len(_listeners(port)) == 2)
    dead, alive = _children(parent)
    for _ in range(40):
        assert _status(port, "/healthz") == 200
    counted = "tidegate_requests_total route=healthz status=200"
    timed = "tidegate_request_seconds_count outcome=ok route=healthz"
    until_blocking(lambda: _metrics(port).get(counted) == 40.0)
    shown = _metrics(port)
    assert shown[timed] == 40.0
    for child in (dead, alive):
        for figure in ("resident_memory_bytes", "cpu_seconds_total", "open_fds"):
            assert shown[f"process_{figure} pid={child.pid}"] > 0
        started_s = shown[f"process_start_time_seconds pid={child.pid}"]
        assert abs(started_s - child.create_time()) < 60
    assert any(name.startswith("python_info ") for name in shown)
    assert shown["python_gc_collections_total generation=2"] >= 2
    dead.kill()
    until_blocking(lambda: dead.pid not in _listeners(port) and len(_listeners(port)) == 2)
    until_blocking(lambda: f"process_open_fds pid={dead.pid}" not in _metrics(port))
    after = _metrics(port)
    assert (after[counted], after[timed]) == (40.0, 40.0)
    assert f"process_open_fds pid={alive.pid}" in after


def test_the_processes_have_the_role_of_their_parent(processes: Processes) -> None:
    port = free_port()
    # The option wins over the variable, for the children too.
    processes.environment["TIDEGATE_ROLE"] = "query"
    processes.serve(port=port, count=2, role="core")
    until_blocking(lambda: len(_listeners(port)) == 2)
    # Enough connections that each child gets one.
    assert {_status(port, "/v1/orders?limit=1") for _ in range(20)} == {421}
    assert {_status(port, "/healthz") for _ in range(20)} == {200}


def test_a_killed_child_is_replaced_and_the_other_continues(processes: Processes) -> None:
    port = free_port()
    parent = processes.serve(port=port, count=2)
    until_blocking(lambda: len(_listeners(port)) == 2)
    dead, alive = _children(parent)
    dead.kill()
    until_blocking(lambda: dead.pid not in _listeners(port))
    assert _answers(port)
    until_blocking(lambda: len(_listeners(port)) == 2)
    assert alive.pid in _listeners(port)
    assert dead.pid not in _listeners(port)
    # Nothing is left of the dead child but what it counted.
    directory = _metrics_of(alive)
    assert not list(directory.glob(f"*_{dead.pid}.db"))
    parent.send_signal(signal.SIGINT)
    assert parent.wait(HANG_S) == 0
    assert not directory.exists()


def test_a_killed_parent_leaves_no_orphan(processes: Processes) -> None:
    port = free_port()
    parent = processes.serve(port=port, count=2)
    children = _children(parent)
    directory = _metrics_of(children[0])
    parent.kill()
    parent.wait(HANG_S)
    ended, left = psutil.wait_procs(children, timeout=HANG_S)
    assert (len(ended), left) == (2, [])
    # Its successor gets the port and removes what it left.
    successor = processes.serve(port=port, count=2)
    assert not directory.exists()
    successor.terminate()
    assert successor.wait(HANG_S) == 0


def test_port_0_is_one_port_for_all(processes: Processes) -> None:
    parent = processes.start("serve", "--port", "0", "--processes", "2")
    until_blocking(lambda: processes.log_path.read_text().count('"listening"') == 2)
    events = [json.loads(line) for line in processes.log_path.read_text().splitlines()]
    ports = {line["port"] for line in events if "port" in line}
    assert len(ports) == 1
    assert _answers(ports.pop())
    parent.terminate()
    assert parent.wait(HANG_S) == 0


@pytest.mark.parametrize("is_sharing", [False, True])
def test_a_port_in_use_is_an_error(processes: Processes, is_sharing: bool) -> None:
    with socket.socket() as taken:
        if is_sharing:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for count in ("1", "2"):
            parent = processes.start("serve", "--port", str(port), "--processes", count)
            assert parent.wait(HANG_S) == 2
    log = processes.log_path.read_text()
    assert log.count("cannot listen on") == 2
    assert "Traceback" not in log


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_host_of_no_machine_is_named_as_the_host(processes: Processes, count: str) -> None:
    """And not as a wrong port."""
    host = "300.1.1.1"
    parent = processes.start("serve", "--host", host, "--port", "0", "--processes", count)
    assert parent.wait(HANG_S) == 2
    log = processes.log_path.read_text()
    assert f"cannot listen on {host}:0 (" in log
    assert "choose an address of this machine with --host or TIDEGATE_HOST" in log
    assert "--port" not in log


def test_the_operators_host_is_named_too(processes: Processes) -> None:
    processes.environment |= {"TIDEGATE_ADMIN_HOST": "300.1.1.1", "TIDEGATE_ADMIN_PORT": "7"}
    assert processes.start("serve", "--port", "0").wait(HANG_S) == 2
    assert "machine with TIDEGATE_ADMIN_HOST" in processes.log_path.read_text()


def test_invalid_settings_end_all_children(processes: Processes) -> None:
    processes.environment["TIDEGATE_KEYRING_FILE"] = "/nowhere/keyring.toml"
    parent = processes.start("serve", "--port", "0", "--processes", "2")
    assert parent.wait(HANG_S) == 2
    assert "tidegate keys seal-init" in processes.log_path.read_text()


@pytest.mark.parametrize(
    "command", [["serve", "--port", "0"], ["serve", "--port", "0", "--processes", "2"], ["work"]]
)
def test_with_the_key_ring_of_another_database_nothing_starts(
    processes: Processes, tmp_path: Path, command: list[str]
) -> None:
    processes.serve(port=free_port())
    other = tmp_path / "other.toml"
    sealing.write_ring(other, sealing.new_ring())
    processes.environment["TIDEGATE_KEYRING_FILE"] = str(other)
    assert processes.start(*command).wait(HANG_S) == 2
    log = processes.log_path.read_text()
    assert f"Error: the key ring {other} does not belong to this database" in log
    assert "Traceback" not in log


def _supervisor(script: str, directory: Path, *, drain_s: float = 1.0) -> Supervisor:
    return Supervisor(
        argv=[sys.executable, "-c", script],
        count=2,
        drain_s=drain_s,
        metrics=directory,
        hangups=Hangups(is_tied=False),
    )


@pytest.mark.servers
def test_children_that_keep_dying_end_the_parent(tmp_path: Path) -> None:
    assert _supervisor("raise SystemExit(1)", tmp_path).run() == 1


@pytest.mark.servers
def test_a_child_that_does_not_drain_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "_EXIT_MARGIN_S", 0.2)
    marks = tmp_path / "ready"
    script = (
        "import os, pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(marks)!r} + str(os.getpid())).touch(); time.sleep(60)"
    )

    def stop_when_ready() -> None:
        until_blocking(lambda: len(list(tmp_path.glob("ready*"))) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_when_ready).start()
    assert _supervisor(script, tmp_path, drain_s=0.2).run() == 1
    for mark in tmp_path.glob("ready*"):
        assert not psutil.pid_exists(int(mark.name.removeprefix("ready")))


def test_a_directory_in_use_is_not_taken_for_a_left_over() -> None:
    with supervising._metrics_directory() as first, supervising._metrics_directory() as second:
        assert first.exists()
        assert second != first
        left_over = Path(tempfile.mkdtemp(prefix="tidegate-metrics-"))
        (left_over / "lock").touch()
        with supervising._metrics_directory():
            assert not left_over.exists()
            assert first.exists()
    assert not first.exists()


def _metrics_of(child: psutil.Process) -> Path:
    return Path(child.environ()["PROMETHEUS_MULTIPROC_DIR"])
