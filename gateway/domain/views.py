"""Orders as they are shown: in clear to keys that may see them so, masked to all others."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain import money, phones
from gateway.domain.addresses import AddressLog
from gateway.domain.orders import Hold, Private, Status

_MASKED = "***"

Amount = Annotated[str, Meta(description="Major units as a decimal string.", examples=["199.00"])]


#: Of an order, as text.
Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
At = Annotated[datetime, Meta(tz=True)]

StockCheck = Annotated[
    Literal["checked", "unchecked"],
    Meta(
        description="Whether the stock was checked when the order came; null: never checked here."
    ),
]


#: What is sealed of an order, as the fields of its view.
SEALED_FIELDS = (
    "recipient.name", "recipient.phone", "recipient.street", "recipient.postcode",
    "recipient.id_number", "remark", "attributes",
)  # fmt: skip

Unreadable = Annotated[
    list[str],
    Meta(
        description="Fields whose stored content cannot be opened: null here, whatever they hold. "
        "Empty unless the order's row is damaged, or sealed with a key that the gateway lacks."
    ),
]

Unclear = Annotated[
    list[str],
    Meta(
        description="Fields with something else in them than they are for: ask the buyer. So far "
        "`recipient.phone`, where it is no telephone number. It is kept and found as it was sent."
    ),
]


class ItemView(Struct, frozen=True):
    """One line of an order."""

    sku: str
    name: str
    quantity: int
    unit_price: Amount
    discount: Amount = "0"
    tax: Amount = "0"
    weight_g: int | None = None


class AmountsView(Struct, frozen=True):
    """The money of an order: as submitted, and paid and refunded since."""

    goods: Amount
    shop_discount: Amount
    platform_subsidy: Amount
    freight: Amount
    tax: Amount
    tax_included: bool
    payable: Amount
    paid: Annotated[
        Amount, Meta(description="All money of the order, also beyond what is payable.")
    ]
    refunded: Amount
    owed: Annotated[
        Amount,
        Meta(
            description="What must go back to the buyer: kept beyond `payable`, or at all where "
            "the order is closed."
        ),
    ]


class RecipientView(Struct, frozen=True):
    """Where the parcel goes; private fields masked unless the key may see them.

    Private fields are null where the order has none, or where its `unreadable` names them.
    """

    name: str | None
    phone: Annotated[str | None, Meta(examples=["138****8000"])]
    country: str
    province: str
    city: str
    district: str
    street: str | None
    postcode: str | None
    id_number: str | None


class OrderView(Struct, frozen=True):
    """An order in its current state."""

    id: Id
    channel: str
    order_no: str
    status: Status
    version: int
    hold: Hold | None
    is_test: bool
    buyer_id: str
    currency: str
    items: list[ItemView]
    amounts: AmountsView
    recipient: Annotated[
        RecipientView | None, Meta(description="Null where the order is for nobody to deliver to.")
    ]
    remark: str | None
    attributes: dict[str, Any] | None
    carrier: str | None
    tracking_no: str | None
    placed_at: At
    received_at: At
    updated_at: At
    paid_at: At | None
    shipped_at: At | None
    completed_at: At | None
    closed_at: At | None
    closed_cause: Annotated[
        Literal["timed_out", "cancelled"] | None, Meta(description="Why it was closed.")
    ]
    accepted_at: Annotated[
        At | None,
        Meta(description="When a warehouse first said that it has the order; null: none did."),
    ]
    pays_on_delivery: Annotated[
        bool, Meta(description="Whether the courier collects the money: it may leave unpaid.")
    ]
    stock_check: StockCheck | None
    platform_state: str | None
    unreadable: Unreadable
    unclear: Unclear


class EventView(Struct, frozen=True):
    """One line of an order's history."""

    id: Id
    action: str
    from_status: Status | None
    to_status: Status | None
    outcome: str
    reason: str | None
    detail: str | None
    source: str
    trigger: str
    occurred_at: At
    received_at: At
    actor: Annotated[
        str | None, Meta(description="Who did it, where a person did: the key's name and its id.")
    ] = None
    approved_by: Annotated[
        str | None, Meta(description="The second person, where it took two.")
    ] = None
    address: Annotated[
        AddressLog | None,
        Meta(
            description="Of a changed address: the fields that changed, private ones masked unless "
            "the key may read them. Null also where they cannot be opened."
        ),
    ] = None


class StoredOrder(Struct, frozen=True):
    """An order as the ledger returns it, its private part opened; None: it cannot be opened."""

    id: str
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
    carrier: str | None
    tracking_no: str | None
    placed_at: datetime
    received_at: datetime
    updated_at: datetime
    paid_at: datetime | None
    shipped_at: datetime | None
    completed_at: datetime | None
    closed_at: datetime | None
    closed_cause: Literal["timed_out", "cancelled"] | None
    accepted_at: datetime | None
    pays_on_delivery: bool
    stock_check: StockCheck | None
    platform_state: str | None


def view(order: StoredOrder, *, in_clear: bool) -> OrderView:
    """Return what may be shown of an order. Masked, free text is left out: it may be private."""
    private = order.private

    def amount(value: Decimal) -> str:
        return money.text(value, order.currency)

    return OrderView(
        id=order.id,
        channel=order.channel,
        order_no=order.order_no,
        status=order.status,
        version=order.version,
        hold=order.hold,
        is_test=order.is_test,
        buyer_id=order.buyer_id,
        currency=order.currency,
        items=[
            msgspec.structs.replace(
                item,
                unit_price=amount(Decimal(item.unit_price)),
                discount=amount(Decimal(item.discount)),
                tax=amount(Decimal(item.tax)),
            )
            for item in order.items
        ],
        amounts=AmountsView(
            goods=amount(order.goods),
            shop_discount=amount(order.shop_discount),
            platform_subsidy=amount(order.platform_subsidy),
            freight=amount(order.freight),
            tax=amount(order.tax),
            tax_included=order.tax_included,
            payable=amount(order.payable),
            paid=amount(order.paid),
            refunded=amount(order.refunded),
            owed=amount(_owed(order)),
        ),
        recipient=_recipient(order, in_clear),
        remark=None if private is None else _shown(private.remark, in_clear),
        attributes=private.attributes if private is not None and in_clear else None,
        carrier=order.carrier,
        tracking_no=order.tracking_no,
        placed_at=order.placed_at,
        received_at=order.received_at,
        updated_at=order.updated_at,
        paid_at=order.paid_at,
        shipped_at=order.shipped_at,
        completed_at=order.completed_at,
        closed_at=order.closed_at,
        closed_cause=order.closed_cause,
        accepted_at=order.accepted_at,
        pays_on_delivery=order.pays_on_delivery,
        stock_check=order.stock_check,
        platform_state=order.platform_state,
        unreadable=[] if private is not None else list(SEALED_FIELDS),
        unclear=_unclear(order),
    )


def _unclear(order: StoredOrder) -> list[str]:
    private = order.private
    is_clear = private is None or not phones.is_unclear(private.phone, order.country)
    return [] if is_clear else ["recipient.phone"]


def _owed(order: StoredOrder) -> Decimal:
    due = Decimal(0) if order.closed_at is not None else order.payable
    return max(order.paid - order.refunded - due, Decimal(0))


def _recipient(order: StoredOrder, in_clear: bool) -> RecipientView | None:
    if not order.country:
        return None
    private = order.private
    if private is None:
        name = phone = street = postcode = id_number = None
    else:
        # Stored as an empty text where the order has none.
        name, phone = private.name or None, private.phone or None
        if not in_clear:
            name = name and _initial(name) + "**"
            phone = phone and phones.masked(phone)
        street = _shown(private.street or None, in_clear)
        postcode = _shown(private.postcode, in_clear)
        id_number = _shown(private.id_number, in_clear)
    return RecipientView(
        name=name,
        phone=phone,
        country=order.country,
        province=order.province,
        city=order.city,
        district=order.district,
        street=street,
        postcode=postcode,
        id_number=id_number,
    )


def _shown(text: str | None, in_clear: bool) -> str | None:
    return text if in_clear or text is None else _MASKED


def _initial(name: str) -> str:
    # A name of one character is all initial: none of it is shown.
    return name[:1] if len(name) > 1 else ""
