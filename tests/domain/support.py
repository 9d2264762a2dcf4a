"""Builders that hide what a test does not care about: submissions, orders, payments, events."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from gateway.domain import events, fingerprint, orders, parcels, phones
from gateway.domain.channels import ChannelPolicy, LookalikePolicy
from gateway.domain.following import FollowUp, OrderState, PaymentState, Standing
from gateway.domain.placing import Placement
from loadtest.orders import order

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DUE = Decimal("100.00")

_serial = itertools.count(1)


def new_id() -> UUID:
    """Return an id that no other call returned; ids grow, as UUIDv7 do."""
    return UUID(int=(7 << 76) | (2 << 62) | next(_serial))


def order_bytes(n: int = 1, **changes: Any) -> bytes:
    """Return order ``n`` of the load test as JSON, changed."""
    return json.dumps(order(n, **changes)).encode()


def submission(n: int = 1, **changes: Any) -> orders.Submission:
    """Return order ``n`` of the load test, decoded. It owes what its items cost."""
    return orders.decode_accepted(order_bytes(n, **changes))


def due(n: int = 1, amount: Decimal = DUE, **changes: Any) -> orders.Submission:
    """Return an order over exactly ``amount``."""
    item = {"sku": f"SKU-{n}", "name": "Tea", "quantity": 1, "unit_price": str(amount)}
    owed = {"goods": str(amount), "payable": str(amount), "freight": "0"}
    return submission(n, items=[item], amounts=owed, **changes)


def placement(
    sent: orders.Submission,
    *,
    request_id: str | None = None,
    policy: LookalikePolicy = "hold",
    received_at: datetime = NOW,
) -> Placement:
    """Return a placement of ``sent`` as the intake makes it, but unchecked."""
    phone = phones.normalised(sent.to.phone or "", sent.to.country) or ""
    digest = fingerprint.payload(sent)
    return Placement(
        id=new_id(),
        submission=sent,
        raw=b"{}",
        phone=phone,
        request_id=request_id,
        payload_digest=digest,
        exact=fingerprint.exact(digest, request_id),
        lookalike=fingerprint.similarity(sent, phone)[0],
        same_goods=fingerprint.similarity(sent, phone)[1],
        policy=ChannelPolicy(lookalike=policy),
        trigger="test",
        received_at=received_at,
    )


def order_state(status: orders.Status = "pending_payment", **changes: Any) -> OrderState:
    """Return an order over ``DUE``; past its payment it is paid in full."""
    paid = Decimal(0) if status in ("pending_payment", "closed") else DUE
    made: dict[str, Any] = {
        "id": new_id(),
        "channel": "web",
        "order_no": "W-1",
        "status": status,
        "version": 1,
        "hold": None,
        "currency": "CNY",
        "payable": DUE,
        "paid": paid,
        "refunded": DUE if status == "refunded" else Decimal(0),
    }
    reached = STEPS.index(status) if status in STEPS else 0
    if reached or status in ("refunded", "cancelling"):
        made["paid_at"] = NOW
    if reached >= STEPS.index("shipped"):
        made |= {"shipped_at": NOW, "carrier": "SF", "tracking_no": "SF-0"}
    if status == "completed":
        made |= {"completed_at": NOW, "is_delivered": True}
    if status in ("closed", "cancelling"):
        made["closed_at"] = NOW
        made["closed_cause"] = "timed_out" if status == "closed" else "cancelled"
    order = OrderState(**made | changes)
    order.parcels = order.parcels or parcels.of_before(order, new_id=new_id)
    return order


#: How far an order is, as its status says.
STEPS: tuple[orders.Status, ...] = ("pending_payment", "paid", "shipped", "completed")


def payment_state(standing: Standing = "applied", **changes: Any) -> PaymentState:
    """Return the transaction ``T-1`` over ``DUE``."""
    made: dict[str, Any] = {
        "id": new_id(),
        "provider": "stripe",
        "source": "stripe:main",
        "transaction_id": "T-1",
        "order_id": None,
        "order_no": "W-1",
        "currency": "CNY",
        "amount": DUE,
        "refunded": Decimal(0),
        "standing": standing,
        "paid_at": NOW,
    }
    return PaymentState(**made | changes)


def paid(amount: Decimal | str = DUE, **changes: Any) -> events.PaymentSucceeded:
    """Return the payment ``T-1`` of order ``W-1``."""
    made: dict[str, Any] = {
        "transaction_id": "T-1",
        "order_no": "W-1",
        "amount": Decimal(amount),
        "currency": "CNY",
        "occurred_at": NOW + timedelta(minutes=1),
    }
    return events.PaymentSucceeded(**made | changes)


def refunded(
    amount: Decimal | str = DUE, *, cumulative: bool = True, **changes: Any
) -> events.RefundSucceeded:
    """Return a refund of ``T-1``: all of it so far, or this one alone."""
    made: dict[str, Any] = {
        "transaction_id": "T-1",
        "order_no": "W-1",
        "refund_no": "",
        "amount": Decimal(amount),
        "cumulative": cumulative,
        "currency": "CNY",
        "occurred_at": NOW + timedelta(minutes=2),
    }
    return events.RefundSucceeded(**made | changes)


def closed(cause: str = "timed_out", order_no: str = "W-1") -> events.Closed:
    """Return the close of an unpaid order."""
    return events.Closed(order_no, cause, NOW + timedelta(minutes=3))


def shipped(order_no: str = "W-1") -> events.Shipped:
    """Return the dispatch of an order."""
    return events.Shipped(order_no, "SF", "SF-1", NOW + timedelta(minutes=4))


def delivered(order_no: str = "W-1") -> events.Delivered:
    """Return the arrival of an order."""
    return events.Delivered(order_no, NOW + timedelta(minutes=5))


def follow_up(event: events.Event, key: str | None = None, **changes: Any) -> FollowUp:
    """Return ``event`` as a callback of account ``stripe:main``, under a key of its own."""
    id_ = new_id()
    made: dict[str, Any] = {
        "id": id_,
        "source": "stripe:main",
        "source_key": key if key is not None else f"evt_{id_}",
        "provider": "stripe",
        "channels": ("web",),
        "event": event,
        "trigger": "callback:stripe:main",
        "received_at": NOW,
        "raw": b"raw",
    }
    return FollowUp(**made | changes)
