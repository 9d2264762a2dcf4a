"""Health, readiness and metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from msgspec import Struct

from gateway.runtime import metrics
from gateway.runtime.clock import Clock
from gateway.web.request import Request
from gateway.web.response import Response

_PROBE_S = 1.0

#: Checks a part: returns an empty text where it works, else what is wrong in one sentence.
Probe = Callable[[], Awaitable[str]]


class Health(Struct, frozen=True):
    """The process is alive and its event loop runs."""

    status: str


class Readiness(Struct, frozen=True):
    """Whether this process should get traffic, and the state of each part it can use.

    A part is ``ok``, ``not configured``, or a sentence that says what is wrong.
    """

    ready: bool
    parts: dict[str, str]


class StatusHandler:
    """Handles health, readiness and metrics, all without a key."""

    def __init__(
        self,
        *,
        required: Mapping[str, Probe],
        alternatives: Mapping[str, Probe],
        optional: Mapping[str, Probe],
        objection: Callable[[], str],
        is_stopping: Callable[[], bool],
        clock: Clock,
    ) -> None:
        """Ready: all ``required`` parts work, or all ``alternatives`` where there are any.

        Never while there is an ``objection``: a text that says why not; else "".
        """
        self._required = required
        self._alternatives = alternatives
        self._optional = optional
        self._objection = objection
        self._is_stopping = is_stopping
        self._rendering = metrics.Rendering(clock=clock)
        self._probing: asyncio.Task[dict[str, str]] | None = None

    async def health(self, request: Request) -> Response:
        """Answer 200 as long as the event loop runs."""
        return Response(200, msgspec.json.encode(Health("ok")))

    async def readiness(self, request: Request) -> Response:
        """Answer 200 when the process can do its work, else 503; ``parts`` says why."""
        # No key is needed, so requests must not multiply the probes: concurrent ones share a run.
        if self._probing is None:
            self._probing = asyncio.create_task(self._run_probes(), name="readiness")
        answers = dict(await asyncio.shield(self._probing))
        is_ready = not any(answers[name] for name in self._required)
        if self._alternatives and not is_ready:
            is_ready = not any(answers[name] for name in self._alternatives)
        if self._objection():
            is_ready = False
        if self._is_stopping():
            is_ready, answers["process"] = False, "is draining"
        parts = {name: text or "ok" for name, text in answers.items()}
        return Response(200 if is_ready else 503, msgspec.json.encode(Readiness(is_ready, parts)))

    async def _run_probes(self) -> dict[str, str]:
        probes = {**self._required, **self._alternatives, **self._optional}
        try:
            answers = await asyncio.gather(*map(_run_probe, probes.values()))
        finally:
            self._probing = None
        return dict(zip(probes, answers, strict=True))

    async def metrics(self, request: Request) -> Response:
        """Answer with all metrics in the Prometheus text format."""
        return Response(200, self._rendering.take(), metrics.CONTENT_TYPE)


async def _run_probe(probe: Probe) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            return await probe()
    except TimeoutError:
        return f"does not answer within {_PROBE_S:g} s"
