"""A lane: the deliveries of one target, so that a slow or dead one delays no other.

    claim ──> read the orders ──> render ──> send, many at once ──> end in batches

What is claimed is attempted within its lease, or is due again: for this worker or another.
"""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from gateway.domain import handoff_decisions, handoff_payload
from gateway.domain.errors import TidegateError
from gateway.domain.handoff import OutboundMessage, SendResult
from gateway.domain.handoff_payload import OrderToTell
from gateway.runtime import lifecycle
from gateway.runtime.circuit_breaker import CircuitBreaker, Permit, State
from gateway.runtime.clock import Clock
from gateway.stores.postgres.deliveries import Claim, Delivery
from workers import handoff_metrics as metrics
from workers.attempt_results import AttemptResults
from workers.attempts_log import AttemptsLog
from workers.rounds import Rounds
from workers.targets import OpenTarget

_log = logging.getLogger(__name__)

#: Seconds between two looks for what is due by its time alone.
_POLL_S = 1.0
#: Seconds that a sender may take beyond its own time: then it is abandoned, and has failed.
_MARGIN_S = 2.0
#: Seconds from claiming to sending: reading and rendering.
_PREPARE_S = 10.0
#: Of one claim at most: a statement reads all their orders.
_CLAIM_MAX = 256
_UNREADABLE = SendResult("failed", reason="the order cannot be read whole: see the log")
_OPENNESS: dict[State, float] = {"closed": 0.0, "half_open": 0.5, "open": 1.0}


class Store(Protocol):
    """Where deliveries are claimed."""

    async def claim(self, target: str, claimant: UUID, *, limit: int, lease_s: float) -> Claim:
        """Claim due deliveries for so many seconds. Raises ``Unavailable``."""
        ...

    async def release(self, target: str, claimant: UUID, events: Sequence[UUID]) -> None:
        """Give back what was claimed and not attempted. Raises ``Unavailable``."""
        ...

    async def disable(self, target: str, reason: str) -> bool:
        """Claim nothing more of a target; return whether that is new. Raises ``Unavailable``."""
        ...


class Orders(Protocol):
    """Reads orders in their current state."""

    async def read(
        self, ids: Sequence[UUID], *, has_private: bool
    ) -> Mapping[UUID, OrderToTell | None]:
        """Return those that exist; None: it cannot be read whole. Raises ``Unavailable``."""
        ...


class Lane:
    """Attempts the deliveries of one target.

    Invariants:

    - At most ``in_flight_max`` attempts at once, and as many that wait for their end to be stored.
    - A message is sent only while its claim has time enough left for the whole attempt.
    - While the breaker is open nothing is claimed: nobody's attempts are used up for it.
    """

    def __init__(
        self,
        *,
        opened: OpenTarget,
        store: Store,
        orders: Orders,
        log: AttemptsLog,
        claimant: UUID,
        clock: Clock,
        rounds: Rounds,
        drain_s: float,
    ) -> None:
        """``claimant``: names this process. ``drain_s``: for what is being sent, when it stops."""
        self._target = opened.target
        self._name = opened.target.name
        self._sender = opened.sender
        self._store = store
        self._orders = orders
        self._ended = log
        self._claimant = claimant
        self._clock = clock
        self._rounds = rounds
        self._drain_s = drain_s
        self._lease_s = _PREPARE_S + opened.target.call_s + 2 * _MARGIN_S
        self._woken = asyncio.Event()
        self._results = AttemptResults(target=opened.target, log=log, clock=clock)
        #: What is being sent, and until when of the monotonic clock it may be.
        self._sending: dict[asyncio.Task[None], float] = {}
        self._abandoned: set[asyncio.Task[None]] = set()
        self._looked_s = float("-inf")
        self._openness = metrics.TARGET_OPEN.labels(self._name)
        self._breaker = CircuitBreaker(
            window_s=10.0,
            calls_min=10,
            failed_share=0.8,
            open_s=2.0,
            open_s_max=min(60.0, max(2.0, opened.target.retry_max_s)),
            probes=2,
            probe_s=opened.target.call_s + _MARGIN_S,
            jitter=random.random,
        )

    def wake(self) -> None:
        """Look soon for what is due."""
        self._woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Attempt until ``stopping`` is set; then finish what is being sent."""
        while not stopping.is_set():
            self._woken.clear()
            try:
                is_more = await self.round()
            except TidegateError as exc:
                self._rounds.postponed(exc)
                await lifecycle.pause(stopping, _POLL_S)
                continue
            self._rounds.done()
            self._openness.set(_OPENNESS[self._breaker.state])
            self._abandon_late()
            if not is_more:
                await lifecycle.either(stopping, self._woken, _POLL_S)
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=self._drain_s)
            for task in late:
                # Its claim ends by itself, and it is sent again, with the same id.
                task.cancel()
        await self._ended.drain()

    async def round(self) -> bool:
        """Claim what is due and begin to send it; return whether more may be sent at once.

        Raises ``Unavailable``.
        """
        permits = self._permits()
        if not permits:
            return False
        asked = len(permits)
        try:
            claimed_s = self._clock.monotonic_s()
            claim = await self._store.claim(
                self._name, self._claimant, limit=asked, lease_s=self._lease_s
            )
            messages = await self._prepared(claim.deliveries)
            until_s = claimed_s + self._lease_s - self._target.call_s - _MARGIN_S
            for delivery, message in messages:
                self._begin(delivery, message, permits.pop(), until_s)
        finally:
            for permit in permits:
                permit.withdraw()
        # Fewer than asked for: the rest is not due yet.
        return len(claim.deliveries) + claim.blocked >= asked and self._room() > 0

    def _room(self) -> int:
        room = self._target.in_flight_max - len(self._sending)
        # A claim costs the same for one as for many: while many are being sent, it waits for room.
        is_worth_it = room * 2 >= self._target.in_flight_max
        return min(room, _CLAIM_MAX) if is_worth_it and not self._ended.is_behind else 0

    def _permits(self) -> list[Permit]:
        now_s = self._clock.monotonic_s()
        permits = []
        for _ in range(self._room()):
            permit = self._breaker.ask(now_s)
            if permit is None:
                break
            permits.append(permit)
        return permits

    async def _prepared(
        self, deliveries: Sequence[Delivery]
    ) -> list[tuple[Delivery, OutboundMessage]]:
        """Render what was claimed; what is not to be sent is ended here."""
        if not deliveries:
            return []
        try:
            orders = await self._orders.read(
                [each.order_id for each in deliveries], has_private=self._target.has_private
            )
        except TidegateError:
            await self._release(deliveries)
            raise
        made = []
        for delivery in deliveries:
            order = orders.get(delivery.order_id)
            if delivery.order_id not in orders:
                self._results.withdrawn(delivery, delivery.version, "there is no such order")
            elif order is None:
                self._results.failed(delivery, delivery.version, _UNREADABLE)
            elif why := handoff_decisions.withdrawal(delivery.topic, order.status, order.hold):
                self._results.withdrawn(delivery, order.version, why)
            elif message := self._rendered(delivery, order):
                made.append((delivery, message))
        return made

    def _rendered(self, delivery: Delivery, order: OrderToTell) -> OutboundMessage | None:
        """Render a message; an order that cannot be is a failed attempt, and stops no other."""
        try:
            return _message(delivery, order)
        except Exception:
            _log.exception("an order cannot be rendered", extra={"order_id": str(order.id)})
            self._results.failed(delivery, order.version, _UNREADABLE)
            return None

    async def _release(self, deliveries: Sequence[Delivery]) -> None:
        try:
            await self._store.release(
                self._name, self._claimant, [each.event_id for each in deliveries]
            )
        except TidegateError:
            # They are due again when their claim ends.
            return

    def _begin(
        self, delivery: Delivery, message: OutboundMessage, permit: Permit, until_s: float
    ) -> None:
        task = asyncio.create_task(
            self._attempt(delivery, message, permit, until_s), name=f"deliver to {self._name}"
        )
        self._sending[task] = self._clock.monotonic_s() + self._target.call_s + _MARGIN_S
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self._abandoned.discard(task)
        if self._room():
            self._woken.set()

    async def _attempt(
        self, delivery: Delivery, message: OutboundMessage, permit: Permit, until_s: float
    ) -> None:
        began_s = self._clock.monotonic_s()
        if began_s > until_s:
            # The process stood still meanwhile: another one may have claimed it.
            permit.withdraw()
            return
        started_at = self._clock.now()
        try:
            result = await self._send(message)
        except BaseException:
            permit.withdraw()
            raise
        now_s = self._clock.monotonic_s()
        took_ms = round((now_s - began_s) * 1000)
        if result.outcome == "delivered":
            permit.succeed(now_s)
            end = self._results.delivered
        else:
            is_unwell = (
                result.outcome == "failed"
                and handoff_decisions.health(result.status_code) == "unwell"
            )
            (permit.fail if is_unwell else permit.succeed)(now_s)
            end = self._results.failed
            if result.outcome == "gone":
                await self._disable(result.reason)
        end(delivery, message.version, result, started_at=started_at, took_ms=took_ms)

    async def _send(self, message: OutboundMessage) -> SendResult:
        """Send once. A sender that breaks its promises is a failed attempt."""
        try:
            return await self._sender.send(message)
        except asyncio.CancelledError:
            if asyncio.current_task() in self._abandoned:
                return SendResult("failed", reason="no answer in time")
            raise
        except Exception as exc:
            _log.exception("a sender failed", extra={"target": self._name})
            return SendResult("failed", reason=f"{type(exc).__name__}: see the log")

    def _abandon_late(self) -> None:
        """End what is being sent beyond its time, which a sender should have done."""
        now_s = self._clock.monotonic_s()
        if now_s < self._looked_s + _POLL_S:
            return
        self._looked_s = now_s
        for task, late_s in self._sending.items():
            if now_s > late_s and task not in self._abandoned:
                self._abandoned.add(task)
                task.cancel()

    async def _disable(self, reason: str) -> None:
        try:
            is_new = await self._store.disable(self._name, reason)
        except TidegateError:
            # Its next answer is the same.
            return
        if is_new:
            _log.error("disabled a target", extra={"target": self._name, "reason": reason})


def _message(delivery: Delivery, order: OrderToTell) -> OutboundMessage:
    return OutboundMessage(
        event_id=delivery.event_id,
        topic=delivery.topic,
        occurred_at=delivery.occurred_at,
        order_id=delivery.order_id,
        order_no=order.order_no,
        channel=order.channel,
        version=order.version,
        body=handoff_payload.render(delivery.topic, delivery.event_id, delivery.occurred_at, order),
        attempt=delivery.attempts + 1,
    )
