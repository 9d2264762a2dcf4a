"""Health, readiness, metrics, and the OpenAPI document."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec import Struct

from gateway.runtime import metrics
from gateway.runtime.clock import Clock
from gateway.web.request import Request
from gateway.web.response import Response

_PROBE_S = 1.0
#: Share of the time that metrics may take to be rendered, and seconds that may be saved up.
_RENDERING_PART = 0.05
_RENDERING_S = 0.25

#: Says whether a part can do its work: an empty text, or what is the matter in a sentence.
Probe = Callable[[], Awaitable[str]]


class Health(Struct, frozen=True):
    """The process is alive and its loop turns."""

    status: str


class Readiness(Struct, frozen=True):
    """Whether this process should get traffic, and what each part says."""

    ready: bool
    parts: dict[str, str]


class StatusPages:
    """Handles the pages that machines watch. None of them needs a key or shows private data."""

    def __init__(
        self,
        *,
        needed: Mapping[str, Probe],
        instead: Mapping[str, Probe],
        helpful: Mapping[str, Probe],
        is_stopping: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._needed = needed
        self._instead = instead
        self._helpful = helpful
        self._is_stopping = is_stopping
        self._clock = clock
        self._shown = b""
        self._budget_s, self._paid_at_s = _RENDERING_S, clock.monotonic_s()
        self._asking: asyncio.Task[dict[str, str]] | None = None
        self.document = b"{}"

    async def health(self, request: Request) -> Response:
        """Answer 200 as long as the process turns."""
        return Response(200, msgspec.json.encode(Health("ok")))

    async def readiness(self, request: Request) -> Response:
        """Answer 200 when what it serves can be served, else 503 with the part that can not.

        They are when all that is needed answers, or all that there is instead.
        """
        # Nobody needs a key to ask: whoever comes while the parts are asked shares the answer.
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="readiness")
        said = dict(await asyncio.shield(self._asking))
        is_ready = not any(said[name] for name in self._needed)
        if self._instead and not is_ready:
            is_ready = not any(said[name] for name in self._instead)
        if self._is_stopping():
            is_ready, said["process"] = False, "is draining"
        parts = {name: text or "ok" for name, text in said.items()}
        return Response(200 if is_ready else 503, msgspec.json.encode(Readiness(is_ready, parts)))

    async def _ask_all(self) -> dict[str, str]:
        probes = {**self._needed, **self._instead, **self._helpful}
        try:
            answers = await asyncio.gather(*map(_ask, probes.values()))
        finally:
            self._asking = None
        return dict(zip(probes, answers, strict=True))

    async def metrics(self, request: Request) -> Response:
        """Answer with all metrics in the Prometheus text format.

        Nobody needs a key to ask. Whoever asks without end is told what was shown before.
        """
        now_s = self._clock.monotonic_s()
        earned_s = (now_s - self._paid_at_s) * _RENDERING_PART
        self._budget_s, self._paid_at_s = min(_RENDERING_S, self._budget_s + earned_s), now_s
        if self._budget_s > 0:
            self._shown = metrics.render()
            self._budget_s -= self._clock.monotonic_s() - now_s
        return Response(200, self._shown, metrics.CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Answer with the OpenAPI document."""
        return Response(200, self.document)


async def _ask(probe: Probe) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            return await probe()
    except TimeoutError:
        return f"does not answer within {_PROBE_S:g} s"
