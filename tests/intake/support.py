"""An intake over fakes. Without servers, without sleeping."""

import asyncio
from typing import Any

from gateway.intake import channel_policies
from gateway.intake.accept import Intake
from gateway.intake.batch_writer import BatchWriter, Fallback
from gateway.intake.committer import Committer
from gateway.runtime.circuit_breaker import CircuitBreaker
from gateway.runtime.live import Live
from gateway.runtime.settings import Settings
from tests.domain.support import new_id
from tests.support.fakes.clock import ManualClock
from tests.support.fakes.ledger import ScriptedLedger
from tests.support.fakes.result_cache import FakeResultCache


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
            policies=Live(channel_policies.of(made)),
        )


async def turns(count: int = 10) -> None:
    """Let everything that is ready run, some turns of the loop long."""
    for _ in range(count):
        await asyncio.sleep(0)
