"""What a person does to an order: a body and a pure function for each action, making its event.

Nothing is decided here that depends on the order's state: the lock decides (``action_rules``).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.domain import addresses, authority, events, money, money_text, orders, sums, validation
from gateway.domain.addresses import AddressChange, Reason
from gateway.domain.asking import Action
from gateway.domain.errors import Fault, Invalid
from gateway.domain.order_details import StoredDetails, StoredPayment
from gateway.domain.orders import Amounts, Item, Money, Submission
from gateway.domain.views import StoredOrder

#: Where an action comes from, in the history: no account of a provider can have this name.
SOURCE = "action"
_PRINTABLE = r"^[!-~]+$(?!\n)"
_Number = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=_PRINTABLE,
        extra={"plain": "have only visible ASCII characters, without spaces"},
    ),
]
_Text = Annotated[str, Meta(min_length=1, max_length=64)]
_When = Annotated[datetime | None, Meta(description="When, with its zone (RFC 3339); null: now.")]


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    """Why it is done."""

    reason: Reason


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """What a parcel holds of one line of the order."""

    sku: Annotated[str, Meta(min_length=1, max_length=64)]
    quantity: Annotated[int, Meta(ge=1, le=orders.QUANTITY_MAX)]


class Shipment(Struct, frozen=True, forbid_unknown_fields=True):
    """A parcel of the order that left."""

    carrier: Annotated[_Text, Meta(description="Its code or name.", examples=["SF"])]
    tracking_no: Annotated[_Number, Meta(examples=["SF1234567890"])]
    reason: Reason
    lines: Annotated[
        list[Line], Meta(max_length=orders.ITEMS_MAX, description="What is in it; empty: untold.")
    ] = []
    shipped_at: _When = None


class Delivery(Struct, frozen=True, forbid_unknown_fields=True):
    """What arrived: a parcel, or without a tracking number the whole order."""

    reason: Reason
    tracking_no: _Number | None = None
    delivered_at: _When = None


class ParcelCancellation(Struct, frozen=True, forbid_unknown_fields=True):
    """The parcel that did not leave, or came back before it arrived."""

    tracking_no: Annotated[_Number, Meta(examples=["SF1234567890"])]
    reason: Reason


class Refund(Struct, frozen=True, forbid_unknown_fields=True):
    """A refund that was made another way than through the payment's provider."""

    transaction_id: Annotated[
        _Number, Meta(description="The payment of which it is a part.", examples=["4200002114"])
    ]
    refund_no: Annotated[
        _Number,
        Meta(
            description="Your own number of it: the same number is the same refund.",
            examples=["R-1001"],
        ),
    ]
    amount: Money
    reason: Reason
    provider: Annotated[
        str | None, Meta(description="Needed where two payments have the same number.")
    ] = None
    refunded_at: _When = None


class MadeUpPayment(Struct, frozen=True, forbid_unknown_fields=True):
    """A payment that its provider has, and never told of."""

    provider: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$(?!\n)", examples=["wechatpay"])]
    transaction_id: Annotated[
        _Number,
        Meta(
            description="The provider's number: what it tells later of it is a repeat.",
            examples=["4200002114"],
        ),
    ]
    amount: Money
    paid_at: Annotated[datetime, Meta(tz=True)]
    evidence: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=512,
            description="Where the money was seen: a statement and its line. Nothing private.",
        ),
    ]
    reason: Reason


class Amendment(Struct, frozen=True, forbid_unknown_fields=True):
    """The lines and amounts of the order, all of them; they must add up."""

    items: Annotated[list[Item], Meta(min_length=1, max_length=orders.ITEMS_MAX)]
    amounts: Amounts
    reason: Reason


Wanted = (
    Why | Shipment | Delivery | ParcelCancellation | Refund | MadeUpPayment | Amendment
    | AddressChange
)  # fmt: skip


class Planned(Struct, frozen=True):
    """The event of an action. ``amount``: the money it is about, in the order's currency."""

    event: events.Event
    provider: str = ""
    source: str = SOURCE
    amount: Decimal = Decimal(0)


Plan = Callable[[Any, StoredOrder, StoredDetails, datetime], Planned]


def ship(wanted: Shipment, order: StoredOrder, _: StoredDetails, now: datetime) -> Planned:
    """Return the event of a parcel that left. Raises ``Invalid``."""
    at, faults = _moment(wanted.shipped_at, "shipped_at", now)
    faults += _printable(carrier=wanted.carrier)
    ordered: dict[str, int] = {}
    for item in order.items:
        ordered[item.sku] = ordered.get(item.sku, 0) + item.quantity
    sent: dict[str, int] = {}
    for n, line in enumerate(wanted.lines):
        sent[line.sku] = sent.get(line.sku, 0) + line.quantity
        if sent[line.sku] > ordered.get(line.sku, 0):
            reason = f"is more than the {ordered.get(line.sku, 0)} of {line.sku} in the order"
            faults.append(Fault(f"lines[{n}].quantity", reason))
    _raise(faults)
    lines = tuple(events.ParcelLine(line.sku, line.quantity) for line in wanted.lines)
    return Planned(
        events.Shipped(order.order_no, wanted.carrier, wanted.tracking_no, at, lines=lines)
    )


def deliver(wanted: Delivery, order: StoredOrder, _: StoredDetails, now: datetime) -> Planned:
    """Return the event of an arrival. Raises ``Invalid``."""
    at, faults = _moment(wanted.delivered_at, "delivered_at", now)
    _raise(faults)
    return Planned(events.Delivered(order.order_no, at, wanted.tracking_no or ""))


def close(_: Why, order: StoredOrder, __: StoredDetails, now: datetime) -> Planned:
    """Return the event of an order that is cancelled."""
    return Planned(events.Closed(order.order_no, "cancelled", now))


def reopen(wanted: Why, order: StoredOrder, _: StoredDetails, now: datetime) -> Planned:
    """Return the event that takes back a close."""
    return Planned(events.Reopened(order.order_no, wanted.reason, now))


def hold(wanted: Why, order: StoredOrder, _: StoredDetails, now: datetime) -> Planned:
    """Return the event that holds an order."""
    return Planned(events.HeldByPerson(order.order_no, wanted.reason, now))


def release(wanted: Why, order: StoredOrder, _: StoredDetails, now: datetime) -> Planned:
    """Return the event that ends a hold."""
    return Planned(events.Released(order.order_no, wanted.reason, now), amount=order.payable)


def cancel_parcel(
    wanted: ParcelCancellation, order: StoredOrder, _: StoredDetails, now: datetime
) -> Planned:
    """Return the event that takes back that a parcel left."""
    return Planned(events.ParcelCancelled(order.order_no, wanted.tracking_no, wanted.reason, now))


def refund(wanted: Refund, order: StoredOrder, details: StoredDetails, now: datetime) -> Planned:
    """Return the event of a refund of one of the order's payments. Raises ``Invalid``."""
    at, faults = _moment(wanted.refunded_at, "refunded_at", now)
    payment = _payment(wanted, details, faults)
    currency = payment.currency if payment else order.currency
    faults += _money(wanted.amount, currency)
    _raise(faults)
    event = events.RefundSucceeded(
        wanted.transaction_id, order.order_no, wanted.refund_no, wanted.amount, False, currency,
        at, is_apart=True,
    )  # fmt: skip
    provider = payment.provider if payment else wanted.provider or ""
    return Planned(event, provider=provider, amount=wanted.amount)


def make_up(wanted: MadeUpPayment, order: StoredOrder, _: StoredDetails, now: datetime) -> Planned:
    """Return the event of a payment that was never told. Raises ``Invalid``."""
    at, faults = _moment(wanted.paid_at, "paid_at", now)
    faults += _printable(evidence=wanted.evidence) + _money(wanted.amount, order.currency)
    _raise(faults)
    event = events.PaymentSucceeded(
        wanted.transaction_id, order.order_no, wanted.amount, order.currency, at
    )
    # Two providers may have the same number: each has a name space of its own.
    source = authority.by_person(wanted.provider)
    return Planned(event, provider=wanted.provider, source=source, amount=wanted.amount)


def amend(wanted: Amendment, order: StoredOrder, _: StoredDetails, now: datetime) -> Planned:
    """Return the event of other lines and amounts. Raises ``Invalid`` where they do not add up."""
    told = Submission(
        channel=order.channel,
        order_no=order.order_no,
        buyer_id=order.buyer_id,
        placed_at=order.placed_at,
        currency=order.currency,
        items=wanted.items,
        amounts=wanted.amounts,
    )
    faults = sums.faults(told, money.DECIMALS[order.currency])
    for n, item in enumerate(wanted.items):
        for name in ("sku", "name"):
            if not getattr(item, name).isprintable():
                faults.append(Fault(f"items[{n}].{name}", "must have printable characters"))
    _raise(faults)
    event = events.Amended(
        order.order_no, order.currency, wanted.amounts, tuple(wanted.items), "", now
    )
    return Planned(event, amount=wanted.amounts.payable)


def readdress(
    wanted: AddressChange, order: StoredOrder, _: StoredDetails, now: datetime
) -> Planned:
    """Return the event of another address. Raises ``Invalid``."""
    _raise(addresses.faults(wanted))
    return Planned(events.AddressChanged(order.order_no, tuple(wanted.changes()), now))


class Kind(Struct, frozen=True):
    """What an action takes, and the function that makes its event."""

    body: Any
    plan: Plan
    decode: Callable[[bytes], Any]


def _kind(body: Any, plan: Plan) -> Kind:
    decoded = msgspec.json.Decoder(body).decode
    keys = money_text.keys_of(body)

    def decode(raw: bytes) -> Any:
        wanted = decoded(raw)
        # Money is not guessed: it is written as that of an order is.
        if keys and money_text.may_be_odd(raw, keys):
            money_text.check(raw, body)
        return wanted

    return Kind(body, plan, decode)


KINDS: dict[Action, Kind] = {
    "ship": _kind(Shipment, ship),
    "deliver": _kind(Delivery, deliver),
    "close": _kind(Why, close),
    "reopen": _kind(Why, reopen),
    "cancel-parcel": _kind(ParcelCancellation, cancel_parcel),
    "refund": _kind(Refund, refund),
    "hold": _kind(Why, hold),
    "release": _kind(Why, release),
    "make-up-payment": _kind(MadeUpPayment, make_up),
    "amend": _kind(Amendment, amend),
    "address": _kind(AddressChange, readdress),
}


def why(wanted: Wanted) -> str:
    """Return the reason of an action, with its evidence. Raises ``Invalid`` for a blank one."""
    _raise(_printable(reason=wanted.reason))
    if isinstance(wanted, MadeUpPayment):
        return f"{wanted.reason}; evidence: {wanted.evidence}"
    if isinstance(wanted, AddressChange):
        return f"{', '.join(wanted.changes())}; {wanted.reason}"
    return wanted.reason


def _payment(wanted: Refund, details: StoredDetails, faults: list[Fault]) -> StoredPayment | None:
    """Return the payment that is meant; None where the order has none of that number."""
    found = [
        each
        for each in details.payments
        if wanted.transaction_id in (each.transaction_id, *each.names)
        and each.standing != "repeat"
        and wanted.provider in (None, each.provider)
    ]
    if len({each.provider for each in found}) > 1:
        faults.append(Fault("provider", "is needed: payments of several have this number"))
    return found[0] if found else None


def _money(amount: Decimal, currency: str) -> list[Fault]:
    reason = money.fault(amount, money.DECIMALS.get(currency, 2))
    if reason is None and not amount:
        reason = "must be more than 0"
    return [Fault("amount", reason)] if reason else []


def _moment(at: datetime | None, name: str, now: datetime) -> tuple[datetime, list[Fault]]:
    if at is None:
        return now, []
    if at.tzinfo is None:
        return now, [Fault(name, "must have a zone, as in 2026-11-23T10:00:00+08:00")]
    at = at.astimezone(UTC)
    if at > now + validation.PLACED_AHEAD_MAX:
        return at, [Fault(name, "lies in the future")]
    is_past = at.year < 2000
    return at, [Fault(name, "lies before the year 2000")] if is_past else []


def _printable(**texts: str) -> list[Fault]:
    return [
        Fault(name, "must have printable characters, and not blanks alone")
        for name, text in texts.items()
        if not text.isprintable() or not text.strip()
    ]


def _raise(faults: Sequence[Fault]) -> None:
    if faults:
        raise Invalid(*faults)
