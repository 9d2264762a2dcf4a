"""`tidegate load`: what it shows of real gateways, and how it ends."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.domain.features import TIERS
from gateway.overload import cluster_view
from gateway.overload.heartbeats import EXPIRES_S, PublishedProcess
from gateway.overload.snapshot import TierSnapshot
from gateway.runtime.settings import Settings
from gateway.stores.redis.process_states import ProcessStates
from ops import load_view
from ops.harness.ports import free_port
from ops.load_view import Row
from tests.domain.support import NOW
from tests.ops.conftest import Cli
from tests.support.patience import HANG_S, until_blocking
from tests.support.processes import Processes
from tests.support.valkey_cluster import server_in

_SECRET = "Tr0ub4dor"
_HIDE, _SHOW = b"\x1b[?25l", b"\x1b[?25h"


def process(**changes: object) -> PublishedProcess:
    shown_now = PublishedProcess(
        host="node-1",
        pid=7,
        role="all",
        port=8080,
        started_at=NOW,
        version="1",
        load=0.42,
        front=0.42,
        back=0.1,
        signal="sojourn",
        shares={"sojourn": 0.42},
        tiers=[TierSnapshot(tier, "admitting", 0.0) for tier in TIERS],
        slots_limit=128,
        slots_in_use=3,
        in_flight_limit=None,
        waiting=11,
        accepted_per_s=1234.4,
        rejected_per_s={"2": 5.0, "3": 7.0},
    )
    return msgspec.structs.replace(shown_now, **changes)


def view(
    *processes: PublishedProcess, unreadable: int = 0, rows_max: int | None = None
) -> list[str]:
    rows = [Row(each, 0.3) for each in processes]
    return load_view.view(
        cluster_view.summary(processes), rows, unreadable=unreadable, rows_max=rows_max
    )


def publish(settings: Settings, *processes: PublishedProcess | bytes, back: float = 0.0) -> None:
    async def publish_all() -> None:
        states = ProcessStates(url=settings.redis_url, call_s=2.0, expires_s=EXPIRES_S)
        for n, each in enumerate(processes):
            state = each if isinstance(each, bytes) else msgspec.json.encode(each)
            await states.publish(f"p{n}", back=back, state=state)
        await states.close()

    asyncio.run(publish_all())


# --- a real gateway ---


def test_every_process_of_a_gateway_is_shown_and_one_that_dies_is_gone(
    cli: Cli, processes: Processes
) -> None:
    ports = [free_port(), free_port()]
    started = [processes.serve(port=port) for port in ports]
    report = json.loads(cli("load", "--json").stdout)
    assert {each["port"] for each in report["processes"]} == set(ports)
    assert {each["pid"] for each in report["processes"]} == {each.pid for each in started}
    assert report["summary"]["processes"] == 2
    for each in report["processes"]:
        assert each["age_s"] < EXPIRES_S
        assert each["slots_limit"] >= 8
        assert each["role"] == "all"
        assert [tier["tier"] for tier in each["tiers"]] == list(TIERS)
        assert each["shares"].keys() >= {"lag", "jage", "peers"}
        assert each["signal"] in each["shares"]
    shown = cli("load", "--once")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("2 processes   highest load 0.")
    assert all(f"/{each.pid} " in shown.stdout for each in started)
    os.killpg(started[0].pid, signal.SIGKILL)
    until_blocking(
        lambda: json.loads(cli("load", "--json", "--once").stdout)["summary"]["processes"] != 2
    )


def test_several_processes_of_one_port_are_listed_separately(
    cli: Cli, processes: Processes
) -> None:
    port = free_port()
    processes.serve(port=port, count=2)
    deadline = time.monotonic() + HANG_S
    while len(report := json.loads(cli("load", "--json").stdout)["processes"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {each["port"] for each in report} == {port}
    assert len({each["pid"] for each in report}) == 2


def test_a_gateway_receives_back_load_and_it_expires(
    cli: Cli, processes: Processes, settings: Settings
) -> None:
    processes.serve(port=free_port())

    def shown() -> tuple[float, float, float]:
        (report,) = json.loads(cli("load", "--json").stdout)["processes"]
        return report["shares"]["peers"], report["load"], report["back"]

    def wait_until(is_received: bool, *, publishing: bool) -> None:
        deadline = time.monotonic() + HANG_S
        while ((shown_now := shown())[0] > 0.9 and shown_now[1] > 0.9) is not is_received:
            assert time.monotonic() < deadline, shown_now
            assert shown_now[2] < 0.8, "received load is not published"
            if publishing:
                publish(settings, b"", back=1.0)
            time.sleep(0.1)

    wait_until(True, publishing=True)
    wait_until(False, publishing=False)
    assert shown()[0] == 0.0


# --- what it prints ---


def test_a_view_has_a_line_for_all_and_one_for_each() -> None:
    tiers = [
        TierSnapshot(0, "admitting", 0.0),
        TierSnapshot(1, "recovering", 0.25),
        TierSnapshot(2, "shedding_some", 0.4),
        TierSnapshot(3, "shedding_all", 1.0),
        TierSnapshot(4, "shedding_all", 1.0),
    ]
    lines = view(
        process(), process(host="node-0", load=0.9, tiers=tiers, actions={"callbacks": "x"})
    )
    assert lines[0] == (
        "2 processes   highest load 0.90   front p75 0.42   worst back 0.10   "
        "accepted 2469/s   rejected 24/s"
    )
    assert lines[2].split()[:5] == ["PROCESS", "ROLE", "PORT", "LOAD", "SIGNAL"]
    assert " ".join(lines[3].split()) == (
        "node-0/7 all 8080 0.90 sojourn -* back 25% shed 40% shed all shed all "
        "3/128 11 1234 12 0.3 s"
    )
    assert " ".join(lines[4].split()) == (
        "node-1/7 all 8080 0.42 sojourn - - - - - 3/128 11 1234 12 0.3 s"
    )


def test_a_small_terminal_shows_the_busiest_in_order() -> None:
    many = [process(pid=pid, load=load) for pid, load in ((1, 0.2), (2, 0.9), (3, 0.1), (4, 0.5))]
    lines = view(*many, rows_max=2)
    assert [line.split()[0] for line in lines[3:5]] == ["node-1/2", "node-1/4"]
    assert lines[5] == "and 2 more, less busy"


def test_published_texts_cannot_move_the_cursor() -> None:
    lines = view(process(host="\x1b[2J\r\nnode", signal="\x07" * 500), unreadable=1)
    assert all(line.isprintable() for line in lines)
    assert any("1 of another version" in line for line in lines)


def test_without_processes_it_says_what_to_check(cli: Cli) -> None:
    run = cli("load")
    assert run.exit_code == 0
    assert "tidegate serve" in run.stdout
    report = json.loads(cli("load", "--json").stdout)
    assert (report["processes"], report["summary"]["processes"], report["error"]) == ([], 0, "")


def test_unreadable_states_are_counted(cli: Cli, settings: Settings) -> None:
    publish(settings, process(), b'{"host": 1}', b"\xff")
    report = json.loads(cli("load", "--json", "--once").stdout)
    assert (len(report["processes"]), report["unreadable"]) == (1, 2)


# --- how it ends ---


@pytest.mark.parametrize("arguments", [("load",), ("load", "--json"), ("load", "--interval", "1")])
def test_an_unavailable_redis_is_one_sentence_and_status_1(
    bare: Cli, arguments: tuple[str, ...]
) -> None:
    run = bare(*arguments, TIDEGATE_REDIS_URL=f"redis://:{_SECRET}@127.0.0.1:1/0")
    assert run.exit_code == 1
    assert "redis cannot be read" in run.stderr
    assert "tidegate_load" in run.stderr
    assert run.stderr.count("\n") == 1
    assert _SECRET not in run.output


@pytest.mark.parametrize(
    ("arguments", "url", "message"),
    [
        (("load",), "", "TIDEGATE_REDIS_URL"),
        (("load", "--interval", "0"), "redis://127.0.0.1:1/0", "--interval"),
        (("load", "--once", "--interval", "1"), "redis://127.0.0.1:1/0", "--once"),
        (("load", "tier3"), "redis://127.0.0.1:1/0", "tier3"),
        (("load",), f"redis://:{_SECRET}@127.0.0.1:port/0", "redis_url is not valid"),
    ],
)
def test_a_wrong_option_is_explained_with_status_2(
    bare: Cli, arguments: tuple[str, ...], url: str, message: str
) -> None:
    run = bare(*arguments, TIDEGATE_REDIS_URL=url)
    assert run.exit_code == 2
    assert message in run.stderr
    assert _SECRET not in run.output


def test_without_redis_url_it_names_the_metrics(bare: Cli) -> None:
    assert "tidegate_load" in bare("load").stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_live_view_ends_with_status_0_and_restores_the_cursor(
    settings: Settings, tmp_path: Path, number: signal.Signals
) -> None:
    terminal, theirs = pty.openpty()
    with started(settings.redis_url, "--interval", "0.2", stdout=theirs) as running:
        os.close(theirs)
        drawn = b""
        while drawn.count(b"front p75") < 3 or b"node-1/7" not in drawn:
            # What a process publishes expires, on a slow machine before the view has started.
            publish(settings, process())
            drawn += os.read(terminal, 65536)
        assert _HIDE in drawn
        assert _SHOW not in drawn
        running.send_signal(number)
        with contextlib.suppress(OSError):  # the other end of a terminal is closed so
            while chunk := os.read(terminal, 65536):
                drawn += chunk
        os.close(terminal)
        assert running.wait(HANG_S) == 0
    assert drawn.rstrip().endswith(_SHOW)


@pytest.mark.servers
def test_live_json_is_one_object_a_line_and_continues_without_redis(tmp_path: Path) -> None:
    with (
        server_in(tmp_path) as server,
        started(server.url, "--json", "--interval", "0.2", stdout=subprocess.PIPE) as running,
    ):
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["error"] == ""
        server.kill()
        while not (report := json.loads(running.stdout.readline()))["error"]:
            pass
        assert (report["summary"], report["processes"]) == (None, [])
        server.start()
        while json.loads(running.stdout.readline())["error"]:
            pass
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        running.stdout.close()
        assert running.wait(HANG_S) == 0


@contextmanager
def started(redis_url: str, *arguments: str, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running view, started as a shell starts one in the foreground.

    It is killed after ``HANG_S``, so that every read from it ends.
    """
    environment = {n: v for n, v in os.environ.items() if not n.startswith("TIDEGATE_")}
    # SIGINT may be ignored where the tests run, as under `nohup`. A child inherits that and rightly
    # leaves it so. A handler is not inherited: the child gets the default.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        running = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "load", *arguments],
            env={**environment, "TIDEGATE_REDIS_URL": redis_url, "TERM": "xterm"},
            stdout=stdout,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    bound = threading.Timer(HANG_S, running.kill)
    bound.start()
    try:
        yield running
    finally:
        bound.cancel()
        running.kill()
        running.wait(HANG_S)
