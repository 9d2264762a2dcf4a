"""What a target is told: the event, and the order in its state at the time of sending."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from gateway.domain import money
from gateway.domain.following import Standing
from gateway.domain.order_details import ParcelView
from gateway.domain.orders import Hold, Private, Status
from gateway.domain.views import Amount, AmountsView, At, Id, ItemView, RecipientView


class HandedPayment(Struct, frozen=True):
    """A payment of the order."""

    provider: str
    account: str
    transaction_id: str
    currency: str
    amount: Amount
    refunded: Amount
    standing: Standing
    paid_at: At


class HandedOrder(Struct, frozen=True):
    """An order as a target is told it: the current state, whatever the event was."""

    id: Id
    version: Annotated[
        int, Meta(description="Rises with each change: what has a lower one is older.")
    ]
    channel: str
    order_no: str
    status: Status
    hold: Hold | None
    is_test: bool
    currency: str
    amounts: AmountsView
    items: list[ItemView]
    buyer_id: str
    recipient: Annotated[
        RecipientView | None,
        Meta(
            description="Null where the order is for nobody to deliver to. Name, phone, street, "
            "postcode and id number are null unless the target `has_private`."
        ),
    ]
    remark: Annotated[str | None, Meta(description="Null unless the target `has_private`.")]
    pays_on_delivery: bool
    warehouse: Annotated[
        str | None, Meta(description="The warehouse that a screening rule chose to send it.")
    ]
    carrier: Annotated[str | None, Meta(description="The carrier that a screening rule chose.")]
    payments: list[HandedPayment]
    parcels: list[ParcelView]
    placed_at: At
    paid_at: At | None
    shipped_at: At | None
    completed_at: At | None
    closed_at: At | None
    updated_at: At


class HandedData(Struct, frozen=True):
    """What the event is about."""

    event_id: Annotated[
        Id, Meta(description="The same in every attempt: whoever has it has had this event.")
    ]
    order: HandedOrder


class HandedEvent(Struct, frozen=True):
    """The body of a message to a target."""

    type: Annotated[str, Meta(description="The topic.", examples=["order.paid"])]
    timestamp: Annotated[At, Meta(description="When the order changed.")]
    data: HandedData


class PaymentRow(Struct, frozen=True):
    """A payment as the ledger returns it. ``source`` is ``<provider>:<account>``."""

    provider: str
    source: str
    transaction_id: str
    currency: str
    amount: Decimal
    refunded: Decimal
    standing: Standing
    paid_at: datetime


class OrderToTell(Struct, frozen=True):
    """An order as the ledger returns it to be told: ``private`` only where it may be seen."""

    id: UUID
    channel: str
    order_no: str
    status: Status
    version: int
    hold: Hold | None
    is_test: bool
    buyer_id: str
    currency: str
    items: list[ItemView]
    goods: Decimal
    shop_discount: Decimal
    platform_subsidy: Decimal
    freight: Decimal
    tax: Decimal
    tax_included: bool
    payable: Decimal
    paid: Decimal
    refunded: Decimal
    country: str
    province: str
    city: str
    district: str
    private: Private | None
    pays_on_delivery: bool
    warehouse: str | None
    carrier: str | None
    placed_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    completed_at: datetime | None
    closed_at: datetime | None
    updated_at: datetime
    payments: list[PaymentRow]
    parcels: list[ParcelView]


_encode = msgspec.json.Encoder().encode
_NOTHING = {currency: money.text(money.ZERO, currency) for currency in money.DECIMALS}


def render(topic: str, event_id: UUID, occurred_at: datetime, order: OrderToTell) -> bytes:
    """Return the body for a target: a JSON object in UTF-8."""
    return _encode(HandedEvent(topic, occurred_at, HandedData(str(event_id), _order(order))))


def _order(order: OrderToTell) -> HandedOrder:
    private = order.private
    return HandedOrder(
        id=str(order.id),
        version=order.version,
        channel=order.channel,
        order_no=order.order_no,
        status=order.status,
        hold=order.hold,
        is_test=order.is_test,
        currency=order.currency,
        amounts=_amounts(order),
        items=[_item(item, order.currency) for item in order.items],
        buyer_id=order.buyer_id,
        recipient=_recipient(order) if order.country else None,
        remark=private.remark if private is not None else None,
        pays_on_delivery=order.pays_on_delivery,
        warehouse=order.warehouse,
        carrier=order.carrier,
        payments=[_payment(each) for each in order.payments],
        parcels=order.parcels,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
        shipped_at=order.shipped_at,
        completed_at=order.completed_at,
        closed_at=order.closed_at,
        updated_at=order.updated_at,
    )


def _text(amount: Decimal, currency: str) -> str:
    """Return what ``money.text`` does, sooner for nothing: most amounts of an order are."""
    if amount:
        return money.text(amount, currency)
    return _NOTHING.get(currency, "0.00")


def _amounts(order: OrderToTell) -> AmountsView:
    currency = order.currency
    due = money.ZERO if order.closed_at is not None else order.payable
    return AmountsView(
        goods=_text(order.goods, currency),
        shop_discount=_text(order.shop_discount, currency),
        platform_subsidy=_text(order.platform_subsidy, currency),
        freight=_text(order.freight, currency),
        tax=_text(order.tax, currency),
        tax_included=order.tax_included,
        payable=_text(order.payable, currency),
        paid=_text(order.paid, currency),
        refunded=_text(order.refunded, currency),
        owed=_text(max(order.paid - order.refunded - due, money.ZERO), currency),
    )


def _item(item: ItemView, currency: str) -> ItemView:
    return ItemView(
        sku=item.sku,
        name=item.name,
        quantity=item.quantity,
        unit_price=money.text(Decimal(item.unit_price), currency),
        discount=_text(Decimal(item.discount), currency),
        tax=_text(Decimal(item.tax), currency),
        weight_g=item.weight_g,
    )


def _recipient(order: OrderToTell) -> RecipientView:
    private = order.private
    return RecipientView(
        # Stored as an empty text where the order has none.
        name=private.name or None if private is not None else None,
        phone=private.phone or None if private is not None else None,
        country=order.country,
        province=order.province,
        city=order.city,
        district=order.district,
        street=private.street or None if private is not None else None,
        postcode=private.postcode if private is not None else None,
        id_number=private.id_number if private is not None else None,
    )


def _payment(payment: PaymentRow) -> HandedPayment:
    return HandedPayment(
        provider=payment.provider,
        account=payment.source.partition(":")[2],
        transaction_id=payment.transaction_id,
        currency=payment.currency,
        amount=money.text(payment.amount, payment.currency),
        refunded=money.text(payment.refunded, payment.currency),
        standing=payment.standing,
        paid_at=payment.paid_at,
    )
