"""The figures that alerts are about: of the servers, of all processes, and of the ledger."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from gateway.domain.errors import Unavailable
from gateway.overload.snapshot import Snapshot
from gateway.stores.redis.process_states import Published

#: Seconds that a source may take to answer; after that it is unavailable. And seconds that are
#: waited again, by the next reading, for an answer that was late before.
_ANSWER_S = 1.5
_LATE_S = 0.3

T = TypeVar("T")

_decode = msgspec.json.Decoder(Snapshot).decode


class Ledger(Protocol):
    """The figures of the ledger. Raises ``Unavailable``."""

    async def figures(self) -> dict[str, float]:
        """Return them by name."""
        ...


class ProcessStates(Protocol):
    """What all processes published. Raises ``Unavailable``."""

    async def published(self) -> Sequence[Published]:
        """Return their snapshots."""
        ...


class JournalDepth(Protocol):
    """How long the oldest entry of the journal waits, as of its last check."""

    @property
    def oldest_s(self) -> float:
        """Seconds; 0: nothing waits."""
        ...


class Figures:
    """Reads every figure. One that is not known now is left out."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        missed: Callable[[], Awaitable[float]],
        states: ProcessStates | None,
        journal: JournalDepth | None,
        faults: Callable[[], Sequence[str]],
    ) -> None:
        """``missed``: counts missed orders; raises ``Unavailable``.

        ``states`` and ``journal``: None where no Redis is configured.
        ``faults``: what is wrong with the tasks of this worker.
        """
        self._ledger = _Source(ledger.figures)
        self._missed = _Source(missed)
        self._states = None if states is None else _Source(states.published)
        self._journal = journal
        self._faults = faults

    async def read(self) -> dict[str, float]:
        """Return the figures by name. Never raises, and ends within a few seconds."""
        ledger, processes = await asyncio.gather(self._of_ledger(), self._of_processes())
        found = {**ledger, **processes}
        if self._journal is not None:
            found["journal_oldest_s"] = self._journal.oldest_s
        if not ledger["postgres_unavailable"]:
            # While it is away, no task does its rounds: that is one fault, and not ten.
            found["failing_tasks"] = float(len(self._faults()))
        return found

    async def _of_ledger(self) -> dict[str, float]:
        try:
            figures = await self._ledger.ask()
        except Unavailable:
            return {"postgres_unavailable": 1.0}
        found = {"postgres_unavailable": 0.0, **figures}
        with contextlib.suppress(Unavailable):
            found["missed_orders"] = await self._missed.ask()
        return found

    async def _of_processes(self) -> dict[str, float]:
        if self._states is None:
            return {}
        try:
            published = await self._states.ask()
        except Unavailable:
            return {"redis_unavailable": 1.0}
        snapshots = []
        for each in published:
            try:
                snapshots.append(_decode(each.state))
            except msgspec.MsgspecError:
                # A process of another version counts, and says nothing.
                continue
        shed = [
            sum(tier.state in ("shedding_some", "shedding_all") for tier in each.tiers)
            for each in snapshots
        ]
        return {
            "redis_unavailable": 0.0,
            "gateways": float(len(published)),
            "shed_tiers": float(max(shed, default=0)),
        }

    async def close(self) -> None:
        """Give up the questions that were not answered."""
        await self._ledger.close()
        await self._missed.close()
        if self._states is not None:
            await self._states.close()


class _Source(Generic[T]):
    """A source that is asked one question at a time, and has so long to answer."""

    def __init__(self, question: Callable[[], Awaitable[T]]) -> None:
        self._question = question
        self._asking: asyncio.Task[T] | None = None

    async def ask(self) -> T:
        """Return the answer. Raises ``Unavailable`` where there is none in time."""
        wait_s = _LATE_S
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._asked())
            wait_s = _ANSWER_S
        # Waited for from outside: what hangs in a driver does not always heed a cancellation.
        await asyncio.wait({self._asking}, timeout=wait_s)
        if not self._asking.done():
            raise Unavailable("the answer")
        asking, self._asking = self._asking, None
        return asking.result()

    async def _asked(self) -> T:
        return await self._question()

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=_ANSWER_S)
