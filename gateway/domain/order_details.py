"""What is shown of one order beside the order: its payments, disputes and parcels."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain import money
from gateway.domain.events import ParcelLine
from gateway.domain.following import Standing
from gateway.domain.views import Amount, At, OrderView, StoredOrder, view


class DisputeView(Struct, frozen=True):
    """A dispute of a payment, as it stands."""

    dispute_no: str
    state: Literal["opened", "won", "lost"]
    amount: Amount
    reason: Annotated[str, Meta(description="The provider's word for it.")]
    opened_at: At
    due_at: Annotated[At | None, Meta(description="Until when it can be answered.")]


class PaymentView(Struct, frozen=True):
    """A payment that names the order."""

    provider: str
    account: Annotated[
        str, Meta(description="Which account told of it; `by person`: none, a person did.")
    ]
    transaction_id: str
    other_numbers: Annotated[
        list[str], Meta(description="Further numbers that the provider has for it.")
    ]
    currency: str
    amount: Amount
    refunded: Annotated[
        Amount, Meta(description="What went back of it: refunds, and disputes that were lost.")
    ]
    standing: Annotated[
        Standing,
        Meta(
            description="`applied`, `after_close` (paid when the order was closed) and `duplicate` "
            "(paid when it was paid) count in the order's `paid`; `mismatch` (another currency, or "
            "another amount where the channel takes no parts) and `repeat` (booked already under "
            "another number or account) do not."
        ),
    ]
    paid_at: At
    disputes: list[DisputeView]


class ParcelView(Struct, frozen=True):
    """A parcel of the order."""

    carrier: str
    tracking_no: str
    parcel_no: Annotated[str, Meta(description="The sender's own number of it.")]
    lines: Annotated[list[ParcelLine], Meta(description="What is in it, where that was told.")]
    shipped_at: At
    delivered_at: At | None
    cancelled_at: Annotated[
        At | None, Meta(description="When a person said that it did not leave, or came back.")
    ] = None


class AcceptanceView(Struct, frozen=True):
    """A target's word that it has the order."""

    target: Annotated[str, Meta(description="Whose word it is: a target of the hand-off.")]
    reference: Annotated[str, Meta(description="Its own number for the order, where it told one.")]
    accepted_at: At


class FindingView(Struct, frozen=True):
    """What a screening rule did to the order when it was placed, and by which values."""

    rule: str
    kind: str
    outcome: Annotated[
        Literal["held", "noted", "released", "routed"],
        Meta(
            description="`held`: kept from the warehouse until a person releases it; `noted`: "
            "shown to a person; `released`: would have been held, and another rule ended that."
        ),
    ]
    values: Annotated[
        dict[str, Any], Meta(description="What the rule went by; private values masked.")
    ] = {}
    released_by: str | None = None


class ScreeningView(Struct, frozen=True):
    """What the screening rules made of the order when it was placed."""

    findings: list[FindingView]
    warehouse: Annotated[
        str | None, Meta(description="The warehouse that a rule chose to send it.")
    ] = None
    carrier: Annotated[str | None, Meta(description="The carrier that a rule chose.")] = None


class OrderDetail(OrderView, frozen=True):
    """An order in its current state, with its payments, parcels and acceptances."""

    aliases: Annotated[
        list[str],
        Meta(description="Other order numbers of it: those of double clicks, answered with it."),
    ]
    payments: list[PaymentView]
    parcels: list[ParcelView]
    acceptances: list[AcceptanceView]
    screening: Annotated[
        ScreeningView | None, Meta(description="Null where no screening rule said anything.")
    ]


class StoredDispute(Struct, frozen=True):
    """A dispute as the ledger returns it."""

    dispute_no: str
    state: Literal["opened", "won", "lost"]
    amount: Decimal
    reason: str
    opened_at: datetime
    due_at: datetime | None


class StoredPayment(Struct, frozen=True):
    """A payment as the ledger returns it. ``source`` is ``<provider>:<account>``."""

    provider: str
    source: str
    transaction_id: str
    names: list[str]
    currency: str
    amount: Decimal
    refunded: Decimal
    standing: Standing
    paid_at: datetime
    disputes: list[StoredDispute]


class StoredDetails(Struct, frozen=True):
    """What belongs to an order as the ledger returns it, the earliest first."""

    payments: list[StoredPayment]
    parcels: list[ParcelView]
    aliases: list[str]
    acceptances: list[AcceptanceView]
    screening: ScreeningView | None = None


def detail(order: StoredOrder, details: StoredDetails, *, in_clear: bool) -> OrderDetail:
    """Return what may be shown of an order and of what belongs to it."""
    shown = view(order, in_clear=in_clear)
    return OrderDetail(
        **{name: getattr(shown, name) for name in shown.__struct_fields__},
        aliases=details.aliases,
        payments=[_payment(each) for each in details.payments],
        parcels=details.parcels or _parcel_of_before(order),
        acceptances=details.acceptances,
        screening=details.screening,
    )


def _payment(payment: StoredPayment) -> PaymentView:
    def amount(value: Decimal) -> str:
        return money.text(value, payment.currency)

    return PaymentView(
        provider=payment.provider,
        account=payment.source.partition(":")[2],
        transaction_id=payment.transaction_id,
        other_numbers=payment.names,
        currency=payment.currency,
        amount=amount(payment.amount),
        refunded=amount(payment.refunded),
        standing=payment.standing,
        paid_at=payment.paid_at,
        disputes=[
            DisputeView(
                dispute_no=each.dispute_no,
                state=each.state,
                amount=amount(each.amount),
                reason=each.reason,
                opened_at=each.opened_at,
                due_at=each.due_at,
            )
            for each in payment.disputes
        ],
    )


def _parcel_of_before(order: StoredOrder) -> list[ParcelView]:
    """Return the parcel of an order that was shipped when an order had one, and it had no row."""
    if order.shipped_at is None or order.tracking_no is None:
        return []
    return [
        ParcelView(
            carrier=order.carrier or "",
            tracking_no=order.tracking_no,
            parcel_no="",
            lines=[],
            shipped_at=order.shipped_at,
            delivered_at=order.completed_at,
        )
    ]


decode_payments = msgspec.json.Decoder(list[StoredPayment]).decode
decode_acceptances = msgspec.json.Decoder(list[AcceptanceView]).decode
decode_parcels = msgspec.json.Decoder(list[ParcelView]).decode
decode_screening = msgspec.json.Decoder(ScreeningView).decode
