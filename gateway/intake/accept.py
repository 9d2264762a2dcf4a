"""The one way in. HTTP, pollers, the drainer and replays all call ``Intake``; nothing else does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import msgspec

from gateway.domain import fingerprint, orders, submitted_payments, validation
from gateway.domain.channels import Policies
from gateway.domain.errors import TidegateError, Unavailable
from gateway.domain.following import Done, FollowUp, Replay, Settle
from gateway.domain.orders import Submission
from gateway.domain.placing import Placed, Placement, Stock
from gateway.intake import journal_codec, metrics, parked
from gateway.intake.committer import Committer
from gateway.runtime.clock import Clock
from gateway.runtime.live import Live

_log = logging.getLogger(__name__)


class Intake:
    """Accepts orders and events: recognises repeats in flight, commits the rest, answers.

    What is answered is committed, or journaled, or rejected without a trace that counts.
    ``policies`` has the rules of every configured channel now.
    """

    def __init__(
        self,
        *,
        committer: Committer,
        clock: Clock,
        new_id: Callable[[], UUID],
        policies: Live[Policies],
    ) -> None:
        self._committer = committer
        self._clock = clock
        self._new_id = new_id
        self._policies = policies
        self._in_flight: dict[bytes, asyncio.Future[Placed]] = {}
        #: The messages that are taken now, and how many deliveries of each.
        self._messages: dict[bytes, tuple[asyncio.Lock, int]] = {}

    def placement(
        self, submission: Submission, *, raw: bytes, request_id: str | None, trigger: str
    ) -> Placement:
        """Return a checked submission, ready to store. Raises ``Invalid`` with every fault.

        ``raw``: the body as it arrived; ``request_id``: the idempotency key of the client, if any;
        ``trigger``: who submitted it, for the history.
        """
        return self._placement(
            submission,
            id_=self._new_id(),
            raw=raw,
            request_id=request_id,
            trigger=trigger,
            received_at=self._clock.now(),
            policies=self._policies.now,
        )

    def shop_placement(
        self,
        submission: Submission,
        *,
        id_: UUID,
        raw: bytes,
        trigger: str,
        received_at: datetime,
        policies: Policies,
    ) -> Placement:
        """Return an order that a shop took and reported, checked. Raises ``Invalid``.

        Its number alone identifies it: a second order of the same goods is another order, which
        the channel's policy may hold for review, and never a repeat. ``raw``: the shop's message,
        of which ``id_`` is a part; ``policies``: of the channels whose orders it may report.
        """
        return self._placement(
            submission,
            id_=id_,
            raw=raw,
            # Idempotency keys are a storefront's own words: none must ever meet a shop's order.
            request_id=None,
            trigger=trigger,
            received_at=received_at,
            policies=policies,
            is_from_shop=True,
        )

    def journaled_placement(self, order: journal_codec.JournaledOrder) -> Placement:
        """Return a journaled order, ready to store as it was when it arrived.

        Raises ``Invalid`` or ``msgspec.MsgspecError`` when it would no longer be accepted.
        """
        submission = (
            orders.decode_accepted(order.raw)
            if order.shop_order is None
            else orders.decode_shop_order(order.shop_order)
        )
        return self._placement(
            orders.as_test(submission) if order.is_test else submission,
            id_=order.id,
            raw=order.raw,
            request_id=order.request_id if order.shop_order is None else None,
            trigger=order.trigger,
            received_at=order.received_at,
            policies=self._policies.now,
            is_from_shop=order.shop_order is not None,
            stock=order.stock,
            was_accepted=True,
        )

    def _placement(
        self,
        submission: Submission,
        *,
        id_: UUID,
        raw: bytes,
        request_id: str | None,
        trigger: str,
        received_at: datetime,
        policies: Policies,
        is_from_shop: bool = False,
        stock: Stock | None = None,
        was_accepted: bool = False,
    ) -> Placement:
        policy = policies.get(submission.channel)
        order, phone = validation.check(
            submission,
            channels=policies,
            now=received_at,
            is_from_shop=is_from_shop,
            # A channel may ask for more by now than when it took the order.
            needs_recipient=not was_accepted
            and policy is not None
            and policy.recipient == "required",
            takes_payment=was_accepted or (policy is not None and policy.paid_by == "platform"),
        )
        # A storefront is held to what it sent. A shop's order is journaled as it is stored.
        payload_digest = fingerprint.payload(order if is_from_shop else submission)
        lookalike, same_goods = fingerprint.similarity(order, phone)
        return Placement(
            id=id_,
            submission=order,
            raw=raw,
            phone=phone,
            request_id=request_id,
            payload_digest=payload_digest,
            exact=fingerprint.exact(payload_digest, request_id),
            lookalike=lookalike,
            same_goods=same_goods,
            policy=policies[submission.channel],
            trigger=trigger,
            received_at=received_at,
            is_from_shop=is_from_shop,
            stock=stock,
        )

    async def accept_order(self, placement: Placement) -> Placed:
        """Return the answer to a submission once it is committed or journaled.

        Raises ``Unavailable`` when nothing was stored, or when it is not known whether it was (a
        repeat is answered with the result then), and ``Poisoned`` when it was parked.
        """
        future = self._in_flight.get(placement.exact)
        try:
            if future is None:
                placed = await self._commit(placement)
            else:
                placed = await self._share(future, placement)
        except Unavailable as exc:
            metrics.UNAVAILABLE.labels(exc.part).inc()
            raise
        metrics.PLACEMENT[placed.answer].inc()
        if placed.has_waiting:
            await self.pair(placed)
        if placement.submission.payment:
            placed = await self._pay(placement, placed)
        return placed

    async def _pay(self, placement: Placement, placed: Placed) -> Placed:
        """Book the payment that came with an order; return the answer to both."""
        paid = submitted_payments.follow_up(placement, placed, id_=self._new_id())
        if paid is None:
            return placed
        done: Done | None = await self.accept_event(paid)
        if done is not None and done.outcome == "repeat" and not placed.is_journaled:
            try:
                # Booked before; what became of it, only the order says.
                done = await self.settle(placed.id)
            except Unavailable:
                done = None
        return submitted_payments.paid_with(placement, placed, done)

    def begin(self, placement: Placement) -> asyncio.Future[Placed] | None:
        """Queue an order and return a future for ``end``; None: use ``accept_order`` for it.

        This is ``accept_order`` for callers that take callbacks: a coroutine and a task for each
        order cost more than its place in the batch. Raises ``Unavailable`` when too many wait.
        """
        if (
            placement.exact in self._in_flight
            or placement.stock == "missing"
            or placement.submission.payment
        ):
            return None
        try:
            return self._queue(placement)
        except Unavailable as exc:
            metrics.UNAVAILABLE.labels(exc.part).inc()
            raise

    def end(self, placement: Placement, future: asyncio.Future[Placed]) -> Placed:
        """Return the answer to an order whose future is done. Raises as ``accept_order``.

        Where ``has_waiting`` is true, await ``pair`` before the answer is sent.
        """
        self._forget(placement, future)
        try:
            placed = future.result()
        except Unavailable as exc:
            metrics.UNAVAILABLE.labels(exc.part).inc()
            raise
        metrics.PLACEMENT[placed.answer].inc()
        return placed

    async def _commit(self, placement: Placement) -> Placed:
        if placement.stock == "missing":
            # Not shared: the stock of each was checked by itself, and may have changed since.
            return await self._committer.place(placement)
        future = self._queue(placement)
        try:
            return await future
        finally:
            self._forget(placement, future)

    def _queue(self, placement: Placement) -> asyncio.Future[Placed]:
        future = self._in_flight[placement.exact] = self._committer.place(placement)
        return future

    def _forget(self, placement: Placement, future: asyncio.Future[Placed]) -> None:
        # Where the first caller was cancelled, another may have taken its place by now.
        if self._in_flight.get(placement.exact) is future:
            del self._in_flight[placement.exact]

    async def _share(self, future: asyncio.Future[Placed], placement: Placement) -> Placed:
        """Wait for the commit of an identical submission that is in flight."""
        metrics.REPEATS.labels("in_flight").inc()
        try:
            # Shielded: cancelling this caller must not cancel what others wait for.
            return _as_repeat(await asyncio.shield(future))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not future.cancelled() or (task is not None and task.cancelling()):
                raise
        # The first caller was cancelled. Its batch goes on, and the ledger has the result.
        successor = self._in_flight.get(placement.exact)
        if successor is None or successor.cancelled():
            return _as_repeat(await self._commit(placement))
        return await self._share(successor, placement)

    async def accept_event(self, follow_up: FollowUp) -> Done:
        """Return the outcome of an event once it is committed or journaled.

        Raises as ``accept_order``.
        """
        try:
            done = await self._committer.follow(follow_up)
        except Unavailable as exc:
            metrics.UNAVAILABLE.labels(exc.part).inc()
            raise
        metrics.FOLLOW_UPS.labels(done.outcome).inc()
        for each in done.parked:
            parked.report(each)
        return done

    @asynccontextmanager
    async def one_at_a_time(self, message: bytes) -> AsyncIterator[None]:
        """Enter when no other delivery of this message is being taken. ``message``: its digest."""
        lock, deliveries = self._messages.get(message, (asyncio.Lock(), 0))
        self._messages[message] = lock, deliveries + 1
        try:
            async with lock:
                yield
        finally:
            lock, deliveries = self._messages[message]
            if deliveries == 1:
                del self._messages[message]
            else:
                self._messages[message] = lock, deliveries - 1

    async def replay(self, replay: Replay) -> Done:
        """Judge a parked event again, committed. Raises ``Unavailable`` and ``Poisoned``."""
        done = await self._committer.follow(replay)
        metrics.REPLAYS.labels(done.outcome).inc()
        return done

    async def settle(self, order_id: UUID) -> Done:
        """Apply the events that wait for an order, committed. Raises ``Unavailable``."""
        done = await self._committer.follow(Settle(order_id))
        for each in done.parked:
            parked.report(each)
        return done

    async def pair(self, placed: Placed) -> None:
        """Apply the events that came before their order. The answer of the placement stays.

        Every repeat must get the same answer, and none could know what was waiting then.
        """
        try:
            await self.settle(placed.id)
        except TidegateError:
            # The order is committed and the sweeper will pair them: the answer is still true.
            _log.warning("left to the sweeper", extra={"order": str(placed.id)})


def _as_repeat(placed: Placed) -> Placed:
    """Return the answer to a repeat in flight: a rejection stays one."""
    if placed.answer != "placed":
        return placed
    return msgspec.structs.replace(placed, answer="replayed", has_waiting=False)
