"""A scripted ledger, and an intake over it. Without servers, without sleeping."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from gateway.domain.errors import TidegateError
from gateway.domain.following import Done, FollowUp, Settle
from gateway.domain.placing import Placed, Placement
from gateway.intake.accept import Intake
from gateway.intake.batch_writer import BatchWriter, Fallback
from gateway.intake.committer import Committer
from gateway.runtime.circuit_breaker import CircuitBreaker
from gateway.runtime.settings import Settings
from tests.domain.support import new_id
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.result_cache import FakeResultCache


class BadRow(TidegateError):
    """What this ledger raises for a row that it cannot store."""


class ScriptedLedger:
    """Answers a batch once ``gate`` is open, with what ``answer`` makes of each entry.

    An ``answer`` that raises fails the whole batch, as one bad row does in a database.
    """

    bad_row = BadRow

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[Sequence[Any]] = []
        self.parked: list[tuple[object, str]] = []
        self.answer: Callable[[Any], Any] = answered

    async def place(self, batch: Sequence[Placement]) -> Sequence[Placed]:
        return await self._commit(batch)

    async def follow(self, batch: Sequence[FollowUp | Settle]) -> Sequence[Done]:
        return await self._commit(batch)

    async def park(self, entry: Placement | FollowUp, reason: str) -> str:
        self.parked.append((entry, reason))
        return f"parked-{len(self.parked)}"

    async def _commit(self, batch: Sequence[Any]) -> Sequence[Any]:
        self.batches.append(batch)
        await self.gate.wait()
        return [self.answer(entry) for entry in batch]


class Way:
    """An intake over a scripted ledger and a fake result cache."""

    def __init__(
        self, *, fallback: Fallback | None = None, is_draining: bool = False, **settings: Any
    ) -> None:
        made = Settings(database_url="postgresql://nowhere", **settings)
        self.ledger = ScriptedLedger()
        self.results = FakeResultCache()
        self.clock = ManualClock()
        self.writer = BatchWriter(
            ledger=self.ledger,
            fallback=fallback,
            breaker=CircuitBreaker(
                window_s=2.0,
                calls_min=2,
                failed_share=0.5,
                open_s=0.5,
                open_s_max=5.0,
                probes=3,
                probe_s=10.0,
                jitter=lambda: 0.0,
            ),
            clock=self.clock,
            commit_s=made.commit_s,
            fallback_after_s=made.journal_after_s,
        )
        self.committer = Committer(
            writer=self.writer, cache=self.results, settings=made, is_draining=is_draining
        )
        self.intake = Intake(
            committer=self.committer,
            clock=self.clock,
            new_id=new_id,
            policies=made.channel_policies(),
        )


def answered(entry: Placement | FollowUp | Settle) -> Placed | Done:
    """Return the plainest answer there is to an entry."""
    if isinstance(entry, Placement):
        sent = entry.submission
        return Placed("placed", entry.id, sent.channel, sent.order_no, None)
    return Done("applied")


async def turns(count: int = 10) -> None:
    """Let everything that is ready run, some turns of the loop long."""
    for _ in range(count):
        await asyncio.sleep(0)
