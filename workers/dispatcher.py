"""The dispatcher: a lane for each target. Every worker has one; they share what is due."""

import asyncio
import functools
import logging
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock
from gateway.stores.postgres.deliveries import Deliveries
from workers.attempts_log import AttemptsLog
from workers.lane import Lane, Orders
from workers.rounds import Rounds
from workers.targets import OpenTarget, Targets

_log = logging.getLogger(__name__)

_LOOK_S = 5.0


class _Running(Struct, frozen=True, eq=False):
    opened: OpenTarget
    lane: Lane
    task: asyncio.Task[None]
    stopping: asyncio.Event


class Dispatcher:
    """Runs the lanes of the targets that are in force.

    A reload leaves the lanes alone whose targets did not change. One that did goes on to send what
    it began while its successor has begun already: they share the deliveries as two workers do.
    """

    def __init__(
        self,
        *,
        targets: Targets,
        deliveries: Deliveries,
        orders: Orders,
        claimant: UUID,
        clock: Clock,
        rounds: Rounds,
        drain_s: float,
        on_accepted: Callable[[], None],
    ) -> None:
        """``drain_s``: seconds for what is being sent when it stops.

        ``on_accepted``: called when the word of a target has changed orders.
        """
        self._targets = targets
        self._deliveries = deliveries
        self._orders = orders
        self._claimant = claimant
        self._clock = clock
        self._rounds = rounds
        self._drain_s = drain_s
        self._on_accepted = on_accepted
        self._running: dict[str, _Running] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def wake(self, target: str) -> None:
        """Look soon for what is due to this target."""
        if (running := self._running.get(target)) is not None:
            running.lane.wake()

    async def run(self, stopping: asyncio.Event) -> None:
        """Dispatch until ``stopping`` is set; then finish what is being sent.

        Raises what a lane ended with.
        """
        try:
            while not stopping.is_set():
                self._targets.changed.clear()
                self._reconcile()
                await lifecycle.either(stopping, self._targets.changed, _LOOK_S)
                if not self._running:
                    # Nothing is to be done, and all of it is.
                    self._rounds.done()
                self._check()
        finally:
            for name in list(self._running):
                self._end(name)
            if self._ending:
                await asyncio.wait(self._ending)

    def _reconcile(self) -> None:
        now = self._targets.now
        for name, running in list(self._running.items()):
            if now.get(name) is not running.opened:
                self._end(name)
        for name, opened in now.items():
            if name not in self._running:
                self._running[name] = self._start(opened)

    def _start(self, opened: OpenTarget) -> _Running:
        target = opened.target
        log = AttemptsLog(
            target=target.name,
            claimant=self._claimant,
            finish=functools.partial(
                self._deliveries.finish, is_accepting=target.accepts == "answer"
            ),
            on_accepted=self._on_accepted,
            clock=self._clock,
            waiting_max=2 * target.in_flight_max,
        )
        lane = Lane(
            opened=opened,
            store=self._deliveries,
            orders=self._orders,
            log=log,
            claimant=self._claimant,
            clock=self._clock,
            rounds=self._rounds,
            drain_s=self._drain_s,
        )
        log.on_stored = lane.wake
        stopping = asyncio.Event()
        task = asyncio.create_task(_lane(lane, opened, stopping), name=f"lane {target.name}")
        return _Running(opened, lane, task, stopping)

    def _end(self, name: str) -> None:
        running = self._running.pop(name)
        running.stopping.set()
        self._ending.add(running.task)
        running.task.add_done_callback(self._ending.discard)

    def _check(self) -> None:
        for running in self._running.values():
            if running.task.done():
                running.task.result()


async def _lane(lane: Lane, opened: OpenTarget, stopping: asyncio.Event) -> None:
    try:
        await lane.run(stopping)
    finally:
        await opened.sender.close()
