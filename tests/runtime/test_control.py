"""The local socket: asked and answered on one machine, whatever is in its directory."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.runtime import control
from gateway.runtime.control import Control


async def echo(question: bytes) -> bytes:
    return b"<" + question + b">"


@asynccontextmanager
async def listening(directory: Path) -> AsyncIterator[Path]:
    stopping = asyncio.Event()
    task = asyncio.create_task(Control(directory=directory, answer=echo).run(stopping))
    path = directory / f"{os.getpid()}.sock"
    async with asyncio.timeout(5):
        while not path.exists() and not task.done():
            await asyncio.sleep(0.001)
    yield path
    stopping.set()
    await task


async def test_a_question_is_answered_by_whoever_listens(tmp_path: Path) -> None:
    async with listening(tmp_path / "control"):
        answers = await asyncio.to_thread(control.ask, tmp_path / "control", b"look")
    assert answers == {os.getpid(): b"<look>"}
    assert control.ask(tmp_path / "control", b"look") == {}


async def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    async with listening(deep):
        assert await asyncio.to_thread(control.ask, deep, b"look")


async def test_only_its_owner_may_come_near(tmp_path: Path) -> None:
    async with listening(tmp_path / "control"):
        assert (tmp_path / "control").stat().st_mode & 0o077 == 0


async def test_what_dead_processes_left_is_cleared_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "1.sock"))
    (tmp_path / "no.sock").touch()
    assert control.ask(tmp_path, b"look") == {}
    assert not (tmp_path / "1.sock").exists()


async def test_a_name_that_is_taken_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / f"{os.getpid()}.sock").touch()
    async with listening(tmp_path):
        await asyncio.sleep(0)
        assert await asyncio.to_thread(_eventually, tmp_path)


def _eventually(directory: Path) -> bool:
    return any(control.ask(directory, b"look") for _ in range(500))


async def test_rubbish_and_hang_ups_end_nothing(tmp_path: Path) -> None:
    async with listening(tmp_path) as path:
        for rubbish in (b"", b"x" * 1000, b"\xff\x00\n", b"half"):
            with socket.socket(socket.AF_UNIX) as line:
                line.connect(str(path))
                line.sendall(rubbish)
        assert await asyncio.to_thread(control.ask, tmp_path, b"look")


async def test_without_a_place_to_listen_it_does_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stopping = asyncio.Event()
    task = asyncio.create_task(Control(directory=tmp_path / "file", answer=echo).run(stopping))
    await asyncio.sleep(0)
    assert not task.done()
    stopping.set()
    await task
