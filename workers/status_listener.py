"""The status page of a worker: /metrics, /healthz and /readyz, without a key.

aiohttp as it comes: it is asked a few times a minute. The gateway's own server is made for
thousands of requests a second, and its routes are of the HTTP layer, which workers know nothing of.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from gateway.runtime import lifecycle, metrics

_log = logging.getLogger(__name__)

#: Seconds between two attempts to listen: the port is free once the worker ends that has it.
_RETRY_S = 10.0
#: What is said of a part that there is none of, as in the gateway's own /readyz.
NOT_CONFIGURED = "not configured"


class StatusListener:
    """Listens while the worker runs. A port that is in use costs the page and never the work."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        faults: Callable[[], Mapping[str, str]],
        rendering: metrics.Rendering,
    ) -> None:
        """``faults``: what is wrong with each part; empty where nothing is."""
        self._host = host
        self._port = port
        self._faults = faults
        self._rendering = rendering

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until ``stopping`` is set; while the port is in use, try again now and then."""
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await self._listen(runner, stopping)
            await stopping.wait()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner, stopping: asyncio.Event) -> None:
        is_logged = False
        place = {"host": self._host, "port": self._port}
        while not stopping.is_set():
            try:
                await web.TCPSite(runner, self._host, self._port).start()
            except OSError as exc:
                if not is_logged:
                    _log.warning("no status page: %s", self._remedy(exc), extra=place)
                is_logged = True
                await lifecycle.pause(stopping, _RETRY_S)
            else:
                _log.info("status page", extra=place)
                return

    def _remedy(self, exc: OSError) -> str:
        if exc.errno == errno.EADDRINUSE:
            return (
                f"port {self._port} is in use, perhaps by another worker: give each its own "
                "TIDEGATE_WORKER_METRICS_PORT, or 0 for no page; until then it is tried again "
                f"every {_RETRY_S:.0f} s"
            )
        return (
            f"cannot listen on {self._host}:{self._port} ({exc.strerror or exc}): correct "
            "TIDEGATE_WORKER_METRICS_HOST or TIDEGATE_WORKER_METRICS_PORT"
        )

    def _application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._health),
                web.get("/readyz", self._readiness),
            ]
        )
        return application

    async def _metrics(self, request: web.Request) -> web.Response:
        headers = {"Content-Type": metrics.CONTENT_TYPE}
        return web.Response(body=self._rendering.take(), headers=headers)

    async def _health(self, request: web.Request) -> web.Response:
        return _json(200, {"status": "ok"})

    async def _readiness(self, request: web.Request) -> web.Response:
        faults = self._faults()
        parts = {name: fault or "ok" for name, fault in faults.items()}
        is_ready = all(part in ("ok", NOT_CONFIGURED) for part in parts.values())
        return _json(200 if is_ready else 503, {"ready": is_ready, "parts": parts})


def _json(status: int, content: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json"
    )
