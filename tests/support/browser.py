"""A real browser, headless, driven over its DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.patience import HANG_S

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: It is started for one page: no updates, no reports, nothing in the background.
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-port=0",
)  # fmt: skip
_ADDRESS = re.compile(r"DevTools listening on (ws://\S+)")

Json = dict[str, Any]


class Tab:
    """One tab. What it logs and requests is kept."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._serial = itertools.count(1)
        self._session = ""
        self._calls: dict[int, asyncio.Future[Json]] = {}
        self._loaded = asyncio.Event()
        #: What the console shows, and violations of the content security policy.
        self.complaints: list[str] = []
        #: The URLs that were asked for.
        self.requested: list[str] = []

    async def call(self, method: str, **parameters: object) -> Json:
        """Call a method of the protocol."""
        number = next(self._serial)
        future: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        message: Json = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        async with asyncio.timeout(HANG_S):
            return await future

    async def open(self) -> None:
        """Open an empty page and listen to it."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")

    async def show(self, url: str, *, width: int, height: int = 900, is_dark: bool = False) -> None:
        """Load a page in a window of this size and wait until it is whole."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(HANG_S):
            await self._loaded.wait()

    async def value(self, expression: str) -> Any:
        """Return the value of an expression of the page, as JSON."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        """Press a key and release it."""
        codes = {"Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Enter": 13}
        for kind in ("rawKeyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key],
            )  # fmt: skip

    async def picture(self, path: Path, *, is_whole: bool = False) -> None:
        """Store what is shown as PNG; ``is_whole``: the whole page, however long."""
        taken = await self.call("Page.captureScreenshot", captureBeyondViewport=is_whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    async def listen(self) -> None:
        """Take what the browser sends until the connection ends."""
        async for message in self._socket:
            self._take(json.loads(message.data))

    def _take(self, message: Json) -> None:
        if (number := message.get("id")) is not None:
            future = self._calls.pop(number)
            if "error" in message:
                future.set_exception(RuntimeError(str(message["error"])))
            else:
                future.set_result(message["result"])
            return
        parameters = message.get("params", {})
        match message["method"]:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Log.entryAdded":
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                self.complaints.append(str(parameters))
            case "Network.requestWillBeSent":
                self.requested.append(parameters["request"]["url"])


def path() -> str:
    """Return the browser's program; skips where there is none."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    pytest.skip(f"no browser is installed: one of {', '.join(_NAMES)}")


@asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Tab]:
    """Start a browser with a new profile in ``folder`` and open one tab; skips without one."""
    process = await asyncio.create_subprocess_exec(
        path(), *_OPTIONS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        address = await _address(process)
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(address, max_msg_size=1 << 28) as socket,
        ):
            opened = Tab(socket)
            listening = asyncio.create_task(opened.listen())
            await opened.open()
            yield opened
            listening.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = []
    async with asyncio.timeout(HANG_S):
        async for line in process.stderr:
            said.append(line.decode(errors="replace"))
            if match := _ADDRESS.search(said[-1]):
                return match[1]
    raise AssertionError(f"the browser ended: {''.join(said)[-2000:]}")
