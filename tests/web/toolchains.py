"""Runs the examples of /docs, also over a path on which answers fail."""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
from aiohttp import web

from gateway.web.docs.languages import LANGUAGES, Language
from tests.support.patience import HANG_S

T = TypeVar("T")

#: What a language needs besides the command that runs its programs.
_NEEDS = {"curl": ("sh", "curl")}
#: A cold compiler on a busy machine takes a while.
_RUN_S = 4 * HANG_S


def is_here(language: Language) -> bool:
    """Return whether this machine can run programs of the language."""
    commands = _NEEDS.get(language.name, (language.run.split()[0],))
    return all(shutil.which(command) for command in commands)


def here() -> list[Language]:
    """Return the languages whose programs this machine can run; skips where there is none."""
    found = [language for language in LANGUAGES if is_here(language)]
    if not found:
        pytest.skip("none of curl, python3, node, go and java is installed")
    return found


@dataclass
class Ran:
    """How a program ended."""

    status: int
    out: str
    err: str


async def run(language: Language, source: str, folder: Path, variables: Mapping[str, str]) -> Ran:
    """Run a program of a language to its end, with these variables of the environment."""
    process = await _start(language, source, folder, variables)
    try:
        async with asyncio.timeout(_RUN_S):
            out, err = await process.communicate()
    finally:
        _kill(process)
    return Ran(await process.wait(), out.decode(), err.decode())


async def first_output(
    language: Language, source: str, folder: Path, variables: Mapping[str, str], *, until: bytes
) -> bytes:
    """Run a program that does not end by itself until it printed something, then end it."""
    process = await _start(language, source, folder, variables)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_RUN_S):
            return await process.stdout.readuntil(until)
    finally:
        _kill(process)
        await process.communicate()


async def _start(
    language: Language, source: str, folder: Path, variables: Mapping[str, str]
) -> asyncio.subprocess.Process:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"example{language.suffix}"
    path.write_text(source, "utf-8")
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *language.run.split(),
        str(path),
        env={**inherited, **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill a program and what it started: `go run` runs what it compiled."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def in_each(
    work: Callable[[Language], Coroutine[object, object, T]],
) -> list[tuple[Language, T]]:
    """Return the results of the same work in every language of this machine, done at once.

    Where it fails in one, it is ended in the others.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [(language, group.create_task(work(language))) for language in here()]
    return [(language, task.result()) for language, task in tasks]


@dataclass
class Attempt:
    """One request as it arrived, and when it was answered."""

    key: str
    body: bytes
    came_s: float
    answered_s: float = 0.0


@dataclass
class FailingPath:
    """Passes orders on to a gateway; of each order's first answers none arrives.

    The first attempt is answered 503 and not passed on. The second is passed on, and its answer is
    kept back for as long as the client waits. The third is answered 429. All later ones succeed.
    """

    gateway_url: str
    port: int = 0
    attempts: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        key = request.headers.get("Idempotency-Key", "")
        attempt = Attempt(key, body, time.monotonic())
        made = self.attempts[key]
        made.append(attempt)
        try:
            if len(made) == 1:
                return _problem(503)
            if len(made) == 3:
                return _problem(429)
            status, passed = await self._pass_on(request, body)
            if len(made) == 2:
                await asyncio.sleep(HANG_S)
            return web.Response(status=status, body=passed, content_type="application/json")
        finally:
            attempt.answered_s = time.monotonic()

    async def _pass_on(self, request: web.BaseRequest, body: bytes) -> tuple[int, bytes]:
        names = ("Authorization", "Content-Type", "Idempotency-Key")
        headers = {name: request.headers[name] for name in names}
        async with (
            aiohttp.ClientSession() as client,
            client.post(self.gateway_url + request.path, data=body, headers=headers) as answer,
        ):
            return answer.status, await answer.read()


def _problem(status: int) -> web.Response:
    return web.json_response({"status": status}, status=status, headers={"Retry-After": "1"})


@asynccontextmanager
async def failing_path(gateway_url: str) -> AsyncIterator[FailingPath]:
    """Open such a path to a gateway."""
    path = FailingPath(gateway_url)
    runner = web.ServerRunner(web.Server(path.handle), shutdown_timeout=0)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    path.port = runner.addresses[0][1]
    yield path
    await runner.cleanup()
