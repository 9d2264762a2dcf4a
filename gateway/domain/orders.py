"""The Standard Order Model: one shape for the orders of every channel."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.domain import money_text, order_leniency

#: ``cancelling``: cancelled, and money of the buyer is still here.
Status = Literal[
    "pending_payment", "paid", "shipped", "completed", "cancelling", "refunded", "closed"
]

#: Why an order is held for review; ``domain.holds`` says what each hold stops and what ends it.
Hold = Literal[
    "lookalike",
    "suspected_brushing",
    "screened",
    "screened_note",
    "by_person",
    "disputed",
    "refund_owed",
    "amount_mismatch",
    "overpaid",
    "duplicate_payment",
]

ITEMS_MAX = 200
QUANTITY_MAX = 100_000
WEIGHT_G_MAX = 10_000_000
ATTRIBUTES_MAX = 50
ATTRIBUTES_BYTES_MAX = 8192

# Python's `$` also matches before a final newline, JSON Schema's does not: the look-ahead
# makes them agree.
#: ``extra["plain"]`` says what a pattern asks for, to whom it rejects: ``must …``.
Token = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[!-~]+$(?!\n)",
        description="Unique within its channel, for good.",
        extra={"plain": "have only visible ASCII characters, without spaces"},
    ),
]
Channel = Annotated[
    str, Meta(min_length=1, max_length=32, description="One of the configured channels.")
]
Money = Annotated[
    Decimal,
    Meta(
        description='Major units as a decimal string, e.g. `"199.00"`: ASCII digits as JSON writes '
        "numbers, without exponent, plus sign, blanks or leading zeros. A JSON number is taken as "
        "well, digit for digit and never as a float. More decimals than the currency has are "
        "rejected in either form: they are how a float shows that it is not exact.",
        examples=["199.00"],
    ),
]


def _money(means: str, example: str) -> Any:
    """Return what is said of money that may be left out: of nested texts, a schema keeps one."""
    return Meta(description=f"{means} Written as `payable` is.", examples=[example])


def _text(max_length: int, min_length: int = 1, *, means: str | None = None) -> Any:
    return Meta(min_length=min_length, max_length=max_length, description=means)


_REQUIRED_IN_CN = "Required where the country is CN and there is a street."
_REQUIRED = "Required unless the channel's `recipient` is `optional`."


#: A note of the buyer, or of the shop for them. It may contain anything: it is private.
Remark = Annotated[str, _text(1024, 0, means="A note of the buyer; private.")]


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    """One line: ``quantity`` pieces of ``sku``, less a discount on the whole line."""

    sku: Annotated[str, _text(64, means="The shop's own number of the article.")]
    name: Annotated[str, _text(256, means="As the buyer saw it.")]
    quantity: Annotated[
        int, Meta(ge=1, le=QUANTITY_MAX, description="A whole number; `1.0` is read as `1`.")
    ]
    unit_price: Money
    discount: Money = Decimal(0)
    tax: (
        Annotated[Decimal, _money("Its share of `amounts.tax`; none where it is missing.", "9.95")]
        | UnsetType
    ) = UNSET
    weight_g: Annotated[
        Annotated[int, Meta(ge=0, le=WEIGHT_G_MAX)] | UnsetType,
        Meta(description="What one piece weighs, in grams; for the choice of a carrier."),
    ] = UNSET


class Amounts(Struct, frozen=True, forbid_unknown_fields=True):
    """Money split the way reconciliation needs it.

    ``goods`` = sum of (unit_price x quantity - discount) over the items;
    ``payable`` = goods - shop_discount - platform_subsidy + freight + tax, without the tax where
    ``tax_included`` says that the prices contain it.
    """

    # Left unset, and not zero, where there is no tax: such an order is encoded, and recognised,
    # as it was before there was any tax. Read them as `tax or ZERO`.

    goods: Money
    payable: Money
    shop_discount: Money = Decimal(0)
    platform_subsidy: Money = Decimal(0)
    freight: Money = Decimal(0)
    tax: (
        Annotated[
            Decimal,
            _money(
                "All tax of the order. The items have shares of it, the rest is that on `freight`.",
                "19.90",
            ),
        ]
        | UnsetType
    ) = UNSET
    tax_included: Annotated[
        bool | UnsetType,
        Meta(description="Whether the prices contain `tax`, so that it is not added to them."),
    ] = UNSET


class Recipient(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the parcel goes. Everything but country, province, city and district is private.

    Where its channel says so, an order may lack any part of it, or the whole: a download has no
    street, and a cash desk asks for no telephone number.
    """

    name: Annotated[str, _text(128, 0, means=_REQUIRED)] | None = None
    phone: (
        Annotated[
            str,
            _text(
                64,
                0,
                means="A telephone number as people write it, of `country` or with `+`; extensions "
                "(`ext. 5`, `转1234`), virtual and hidden numbers (`138****8000`) too. What is no "
                "number is stored as well, and named in the order's `unclear`. " + _REQUIRED,
            ),
        ]
        | None
    ) = None
    country: Annotated[
        str,
        Meta(
            pattern=r"^[A-Z]{2}$(?!\n)",
            description="ISO 3166-1 alpha-2.",
            extra={"plain": "be two capital letters (ISO 3166-1)"},
        ),
    ]
    street: Annotated[str, _text(512, 0, means=_REQUIRED)] | None = None
    province: Annotated[str, _text(64, 0, means=_REQUIRED_IN_CN)] = ""
    city: Annotated[str, _text(64, 0, means=_REQUIRED_IN_CN)] = ""
    district: Annotated[str, _text(64, 0, means=_REQUIRED_IN_CN)] = ""
    postcode: Annotated[str, _text(16, 0)] | None = None
    id_number: Annotated[str, _text(32, means="For customs, where they ask for it.")] | None = None


_NOBODY = Recipient(country="")


class SubmittedPayment(Struct, frozen=True, forbid_unknown_fields=True):
    """What the buyer has paid already, as the platform knows that took the money.

    It is booked with the order, in the same answer. Only orders of channels whose `paid_by` is
    `platform` may have it. It is no part of what makes two submissions the same: an order that
    comes again with a payment is paid then.
    """

    provider: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9_]{1,32}$(?!\n)",
            description="Who moved the money: a payment provider, or the platform itself.",
            examples=["alipay"],
            extra={"plain": "have 1 to 32 of a to z, 0 to 9 and _"},
        ),
    ]
    transaction_id: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=128,
            pattern=r"^[!-~]+$(?!\n)",
            description="The provider's number of the payment; refunds name it.",
            examples=["2026112322001"],
            extra={"plain": "have only visible ASCII characters, without spaces"},
        ),
    ]
    paid_at: Annotated[
        datetime,
        Meta(tz=True, description="When, with its zone (RFC 3339); seconds may be left out."),
    ]
    amount: Annotated[Decimal, _money("Without it, all that is payable.", "199.00")] | UnsetType = (
        UNSET
    )


class Submission(Struct, frozen=True, forbid_unknown_fields=True):
    """An order as a storefront submits it."""

    channel: Channel
    order_no: Token
    buyer_id: Annotated[str, _text(128, means="The shop's own number of the buyer.")]
    placed_at: Annotated[
        datetime,
        Meta(
            tz=True,
            description="When the buyer placed it, with its zone (RFC 3339); seconds may be left "
            "out.",
        ),
    ]
    currency: Annotated[
        str,
        Meta(
            pattern=r"^[A-Z]{3}$(?!\n)",
            description="ISO 4217.",
            extra={"plain": "be three capital letters (ISO 4217)"},
        ),
    ]
    items: Annotated[list[Item], Meta(min_length=1, max_length=ITEMS_MAX)]
    amounts: Amounts
    recipient: Annotated[Recipient | None, Meta(description=_REQUIRED)] = None
    remark: Remark | None = None
    is_test: Annotated[
        bool,
        Meta(
            description="A test order: apart from live ones in its number, in lists, and in what "
            "pays it. Orders placed with a key for tests are test orders, whatever this says."
        ),
    ] = False
    attributes: dict[str, Any] | None = None
    # Left unset where there is none, as the tax is.
    payment: Annotated[
        SubmittedPayment | UnsetType | None,
        Meta(description="What the buyer has paid already; not in every channel."),
    ] = UNSET
    platform_state: Annotated[
        Annotated[str, _text(64, 0)] | UnsetType | None,
        Meta(description="The platform's own word for the state that the order is in."),
    ] = UNSET

    @property
    def to(self) -> Recipient:
        """The recipient; where the order has none, one of whom nothing is known."""
        return self.recipient or _NOBODY


class Private(Struct, frozen=True, omit_defaults=True):
    """What is sealed of an order: one envelope a row."""

    name: str
    phone: str
    street: str
    postcode: str | None = None
    id_number: str | None = None
    remark: str | None = None
    attributes: dict[str, Any] | None = None


def private_part(submission: Submission) -> Private:
    """Return the fields that must never reach a disk in clear; of what is missing, an empty text.

    So it was written from the start, when only orders of shops could lack any.
    """
    to = submission.to
    return Private(
        name=to.name or "",
        phone=to.phone or "",
        street=to.street or "",
        postcode=to.postcode,
        id_number=to.id_number,
        remark=submission.remark,
        attributes=submission.attributes,
    )


def decode(body: bytes) -> Submission:
    """Decode a JSON order. Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    try:
        order = _decode(body)
    except msgspec.ValidationError as exc:
        order = _mended(body, exc)
    suspect = money_text.find_suspect(body)
    if suspect is not None and money_text.is_under(body, suspect, _MONEY_KEYS):
        money_text.check(body, Submission)
    return order


def decode_accepted(body: bytes) -> Submission:
    """Decode an order that was accepted before, perhaps when money was read less strictly."""
    try:
        return _decode(body)
    except msgspec.ValidationError as exc:
        return _mended(body, exc)


def _mended(body: bytes, error: msgspec.ValidationError) -> Submission:
    if not order_leniency.may_mend(error):
        raise error
    return _decode(order_leniency.mended_bytes(body))


_decode = msgspec.json.Decoder(Submission).decode
_MONEY_KEYS = money_text.keys_of(Submission)


def as_test(order: Submission) -> Submission:
    """Return the same order as a test order."""
    return order if order.is_test else msgspec.structs.replace(order, is_test=True)


def encode_shop_order(submission: Submission) -> bytes:
    """Encode an order that a shop reported, for ``decode_shop_order``."""
    return msgspec.json.encode(submission)


def decode_shop_order(text: bytes) -> Submission:
    """Decode what ``encode_shop_order`` wrote. Bounds are not checked: addresses may be missing."""
    order = msgspec.json.decode(text)
    prices = {"unit_price", "discount", "tax"}
    order["items"] = [Item(**_with_decimals(item, prices)) for item in order["items"]]
    order["amounts"] = Amounts(**_with_decimals(order["amounts"], _AMOUNTS))
    if order["recipient"] is not None:
        order["recipient"] = Recipient(**order["recipient"])
    order["placed_at"] = datetime.fromisoformat(order["placed_at"])
    if order.get("payment"):
        paid = _with_decimals(order["payment"], ("amount",))
        order["payment"] = SubmittedPayment(
            **paid | {"paid_at": datetime.fromisoformat(paid["paid_at"])}
        )
    return Submission(**order)


_AMOUNTS = frozenset(Amounts.__struct_fields__) - {"tax_included"}


def _with_decimals(fields: dict[str, Any], of: Collection[str]) -> dict[str, Any]:
    return {name: Decimal(value) if name in of else value for name, value in fields.items()}
