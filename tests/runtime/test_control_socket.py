"""The control socket: questions and answers on one machine, whatever is in its directory."""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from gateway.runtime import control_socket
from gateway.runtime.control_socket import Control
from tests.support.patience import HANG_S


async def echo(question: bytes) -> bytes:
    return b"<" + question + b">"


@asynccontextmanager
async def listening(directory: Path) -> AsyncIterator[Path]:
    stopping = asyncio.Event()
    task = asyncio.create_task(Control(directory=directory, answer=echo).run(stopping))
    path = directory / f"{os.getpid()}.sock"
    async with asyncio.timeout(HANG_S):
        while not path.exists() and not task.done():
            await asyncio.sleep(0.001)
    yield path
    stopping.set()
    await task


async def test_a_listening_process_answers(tmp_path: Path) -> None:
    async with listening(tmp_path / "control"):
        answers = await asyncio.to_thread(control_socket.ask, tmp_path / "control", b"look")
    assert answers == {os.getpid(): b"<look>"}
    assert control_socket.ask(tmp_path / "control", b"look") == {}


async def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    async with listening(deep):
        assert await asyncio.to_thread(control_socket.ask, deep, b"look")


async def test_only_its_owner_has_access(tmp_path: Path) -> None:
    async with listening(tmp_path / "control"):
        assert (tmp_path / "control").stat().st_mode & 0o077 == 0


async def test_sockets_of_dead_processes_are_removed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "1.sock"))
    (tmp_path / "no.sock").touch()
    assert control_socket.ask(tmp_path, b"look") == {}
    assert not (tmp_path / "1.sock").exists()


async def test_the_socket_of_a_reused_process_id_is_replaced(tmp_path: Path) -> None:
    (tmp_path / f"{os.getpid()}.sock").touch()
    async with listening(tmp_path):
        await asyncio.sleep(0)
        assert await asyncio.to_thread(_eventually, tmp_path)


def _eventually(directory: Path) -> bool:
    return any(control_socket.ask(directory, b"look") for _ in range(500))


async def test_invalid_questions_and_closed_connections_end_nothing(tmp_path: Path) -> None:
    async with listening(tmp_path) as path:
        for rubbish in (b"", b"x" * 1000, b"\xff\x00\n", b"half"):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
                line.sendall(rubbish)
        assert await asyncio.to_thread(control_socket.ask, tmp_path, b"look")


# --- several of them, of which some are frozen ---


@contextmanager
def bound(
    directory: Path, pids: Iterable[int], *, backlog: int = 5
) -> Iterator[list[socket.socket]]:
    """Lend sockets that listen as these process ids and accept nothing."""
    directory.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in pids]
        for pid, line in zip(pids, made, strict=True):
            line.bind(str(directory / f"{pid}.sock"))
            line.listen(backlog)
        yield made


def test_all_are_asked_before_any_has_answered(tmp_path: Path) -> None:
    """Each waits with its answer until all have the question: one after another, none would."""
    pids = range(1, 9)
    all_asked = threading.Barrier(len(pids))

    def answer(listening: socket.socket) -> None:
        line, _ = listening.accept()
        with line:
            assert line.recv(100) == b"look\n"
            with contextlib.suppress(threading.BrokenBarrierError):
                all_asked.wait(HANG_S)
                line.sendall(b"yes\n")

    with bound(tmp_path, pids) as listening, ThreadPoolExecutor(len(pids)) as threads:
        for each in listening:
            threads.submit(answer, each)
        assert control_socket.ask(tmp_path, b"look") == dict.fromkeys(pids, b"yes")


async def test_frozen_processes_delay_the_others_by_one_deadline_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 80
    # One after another they would take twice as long as the test may.
    monkeypatch.setattr(control_socket, "_ANSWERED_S", 2 * HANG_S / count)
    async with listening(tmp_path):
        with bound(tmp_path, range(1, 1 + count)):
            async with asyncio.timeout(HANG_S):
                answers = await asyncio.to_thread(control_socket.ask, tmp_path, b"look")
    assert answers == {os.getpid(): b"<look>"}


def test_an_endless_answer_does_not_extend_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "_ANSWERED_S", 0.3)

    def go_on(listening: socket.socket) -> None:
        line, _ = listening.accept()
        with line, contextlib.suppress(ConnectionError):
            while True:
                line.sendall(b"x")
                time.sleep(0.01)

    with bound(tmp_path, [1]) as (line,), ThreadPoolExecutor(1) as threads:
        threads.submit(go_on, line)
        assert control_socket.ask(tmp_path, b"look") == {}


def test_a_process_with_a_full_backlog_counts_as_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_socket, "_ANSWERED_S", 0.1)
    with bound(tmp_path, [1], backlog=0):
        for _ in range(3):
            assert control_socket.ask(tmp_path, b"look") == {}
    with bound(tmp_path, [2], backlog=0), socket.socket(socket.AF_UNIX) as first:
        first.connect(str(tmp_path / "2.sock"))
        assert control_socket.ask(tmp_path, b"look") == {}
        assert (tmp_path / "2.sock").exists()


def test_a_cut_off_answer_is_none(tmp_path: Path) -> None:
    def cut(listening: socket.socket) -> None:
        line, _ = listening.accept()
        with line:
            line.recv(100)
            line.sendall(b"half an ans")

    with bound(tmp_path, [1]) as (line,), ThreadPoolExecutor(1) as threads:
        threads.submit(cut, line)
        assert control_socket.ask(tmp_path, b"look") == {}


async def test_without_a_usable_directory_it_only_waits(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stopping = asyncio.Event()
    task = asyncio.create_task(Control(directory=tmp_path / "file", answer=echo).run(stopping))
    await asyncio.sleep(0)
    assert not task.done()
    stopping.set()
    await task
