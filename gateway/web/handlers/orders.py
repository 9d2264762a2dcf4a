"""POST /v1/orders: a storefront submits an order."""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.domain import order_leniency, order_repair, orders
from gateway.domain.access import Principal
from gateway.domain.errors import Fault, Invalid, Poisoned
from gateway.domain.placing import Placed, Placement
from gateway.intake.accept import Intake
from gateway.intake.stock_check import StockCheck
from gateway.overload.rate_limit import RateLimits
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.web import json_body, metrics, preconditions
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import JSON, Response

_CONTRADICTIONS = {
    "key_reused": (
        "key-reused",
        "this Idempotency-Key was sent with another order; send a new key with a new order",
    ),
    "conflict": (
        "conflict",
        "the channel has another order of this number; nothing was changed",
    ),
}
_REPLAYED = "Idempotency-Replayed: true\r\n"


class OrderResult(Struct, frozen=True):
    """State of a stored order; for a submission as it was placed, the same for every repeat."""

    id: Annotated[
        str, Meta(description="UUIDv7, assigned here.", extra_json_schema={"format": "uuid"})
    ]
    channel: str
    order_no: str
    status: orders.Status
    version: int
    hold: Annotated[
        orders.Hold | None,
        Meta(description="Why a person must review it before it is processed."),
    ]


_encode = msgspec.json.Encoder().encode


class PendingOrder(Struct, frozen=True):
    """A queued order. ``future``: its result in the batch; None: ``finish`` must accept it."""

    placement: Placement
    future: asyncio.Future[Placed] | None


class OrderHandler:
    """Handles submissions."""

    def __init__(
        self,
        *,
        intake: Intake,
        stock_check: StockCheck | None,
        rate_limits: Live[Mapping[str, RateLimits]],
        clock: Clock,
        limits: Live[Limits],
    ) -> None:
        """``stock_check``: checks every order where an inventory is configured.

        ``rate_limits``: of the channels that have one, by name.
        """
        self._intake = intake
        self._stock_check = stock_check
        self._rate_limits = rate_limits
        self._clock = clock
        self._limits = limits

    async def submit(self, request: Request) -> Response:
        """Answer 201 once the order is committed, 200 to a repeat with the original result.

        202 where Postgres could not commit it: it is synced in the journal and will be committed.
        """
        require_json(request)
        request_id = preconditions.idempotency_key(request.header("Idempotency-Key"))
        limits = self._limits.now
        body = await read_body(request, bytes_max=limits.order_bytes_max, body_s=limits.body_s)
        principal = request.principal
        assert principal is not None, "the route requires a role"
        placement = self._placement(principal, body, request_id)
        request.leave_slot()
        missing: Collection[str] = ()
        # What was paid already is an order whatever the stock is, as an order of a shop is.
        if self._stock_check is not None and not placement.is_taken:
            answer = await self._stock_check.ask(placement.submission)
            placement = msgspec.structs.replace(placement, stock=answer.stock)
            missing = answer.missing
        return await self._accept(placement, missing)

    def begin(self, principal: Principal, body: bytes, request_id: str | None) -> PendingOrder:
        """Queue an order without a stock check. ``request_id``: the Idempotency-Key as sent.

        Raises ``Answered`` and ``Unavailable``.
        """
        placement = self._placement(principal, body, preconditions.idempotency_key(request_id))
        return PendingOrder(placement, self._intake.begin(placement))

    def end(self, pending: PendingOrder) -> Response | None:
        """Return the answer of a future that is done; None: ``finish`` makes it.

        Raises ``Unavailable``.
        """
        assert pending.future is not None
        try:
            placed = self._intake.end(pending.placement, pending.future)
        except Poisoned as exc:
            return _parked(exc)
        return None if placed.has_waiting else _response(placed, pending.placement)

    async def finish(self, pending: PendingOrder) -> Response:
        """Answer an order that waits for more than its batch. Raises ``Unavailable``."""
        if pending.future is None:
            return await self._accept(pending.placement)
        placed = pending.future.result()
        await self._intake.pair(placed)
        return _response(placed, pending.placement)

    async def _accept(self, placement: Placement, missing: Collection[str] = ()) -> Response:
        try:
            placed = await self._intake.accept_order(placement)
        except Poisoned as exc:
            return _parked(exc)
        if placed.answer == "out_of_stock":
            return _out_of_stock(placement, missing)
        return _response(placed, placement)

    def _placement(self, principal: Principal, body: bytes, request_id: str | None) -> Placement:
        try:
            submission = orders.decode(body)
        except json_body.NOT_DECODED as exc:
            beside = self._faults_beside
            raise json_body.rejection(
                exc, body, orders.Submission, beside=beside, mend=order_leniency.mended
            ) from None
        if principal.is_test:
            submission = orders.as_test(submission)
        if not principal.may_use(submission.channel):
            faults = [Fault("channel", "is not one of the key's channels")]
            raise Answered(problem("forbidden", faults=faults))
        if self._rate_limits.now:
            self._apply_rate_limit(submission)
        try:
            return self._intake.placement(
                submission, raw=body, request_id=request_id, trigger=f"key:{principal.key_id}"
            )
        except Invalid as exc:
            raise Answered(problem("invalid", faults=exc.faults)) from None

    def _faults_beside(self, plain: Any, wrong: Sequence[Fault]) -> list[Fault]:
        """Return what the rules say of the rest of an order whose shape is wrong."""
        rest = order_repair.repaired(plain, wrong)
        if rest is not None:
            try:
                self._intake.placement(rest, raw=b"", request_id=None, trigger="")
            except Invalid as exc:
                return order_repair.independent(exc.faults, wrong)
        return []

    def _apply_rate_limit(self, order: orders.Submission) -> None:
        """Count an order against its channel's rate limit. Raises ``Answered`` with 429.

        Test orders have a budget of the same size for themselves: they must cost no live one.
        """
        channel = order.channel
        rate_limit = self._rate_limits.now.get(channel)
        counted = f"{channel} (test)" if order.is_test else channel
        wait_s = rate_limit.wait_s(counted, self._clock.monotonic_s()) if rate_limit else 0.0
        if wait_s:
            metrics.RATE_LIMITED.inc()
            detail = f"the rate limit of the channel {channel} is reached"
            head = f"Retry-After: {math.ceil(wait_s)}\r\n"
            raise Answered(problem("quota-exceeded", detail, head=head))


def _response(placed: Placed, placement: Placement) -> Response:
    id_ = str(placed.id)
    if placed.answer in ("conflict", "key_reused"):
        kind, detail = _CONTRADICTIONS[placed.answer]
        submission = placement.submission
        context = {
            "existing": {
                "id": id_,
                "channel": placed.channel,
                "order_no": placed.order_no,
                "status": placed.status,
                "version": placed.version,
                "payload_digest": placed.payload_digest.hex(),
            },
            "submitted": {
                "channel": submission.channel,
                "order_no": submission.order_no,
                "payload_digest": placement.payload_digest.hex(),
            },
        }
        return problem(kind, detail, context=context)
    result = OrderResult(
        id_, placed.channel, placed.order_no, placed.status, placed.version, placed.hold
    )
    head = f"Location: /v1/orders/{id_}\r\n"
    status = 201
    if placed.answer == "replayed":
        status, head = 200, head + _REPLAYED
    if placed.is_journaled:
        status = 202
    return Response(status, _encode(result), JSON, head)


def _parked(exc: Poisoned) -> Response:
    return problem("parked", exc.reason, context={"parked": exc.parked_id})


def _out_of_stock(placement: Placement, missing: Collection[str]) -> Response:
    faults = [
        Fault(f"items[{number}].sku", f"{item.sku} is out of stock")
        for number, item in enumerate(placement.submission.items)
        if item.sku in missing
    ]
    return problem("out-of-stock", "the order was not stored", faults=faults)
