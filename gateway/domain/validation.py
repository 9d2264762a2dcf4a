"""Entry checks of a submitted order, beyond its shape.

``check`` finds every fault at once, so that a client's developer can fix them together.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from gateway.domain import countries, free_text, money, orders, phones, sums
from gateway.domain.errors import Fault, Invalid

#: How far a storefront's clock may run ahead of the gateway's.
PLACED_AHEAD_MAX = timedelta(minutes=10)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
#: What one caller can decode, another, deeper in the call stack, may fail to encode: attributes
#: at the edge of the interpreter's recursion limit would fail the whole batch they are stored in.
ATTRIBUTES_DEPTH_MAX = 16
_MISSING = "is missing"
_EMPTY = "must not be empty"
_FUTURE = "lies in the future"
_PAST = "lies before the year 2000"


class Checked(NamedTuple):
    """An order as it is stored, and the text by which its recipient's phone is found."""

    order: orders.Submission
    phone: str


def check(
    order: orders.Submission,
    *,
    channels: Collection[str],
    now: datetime,
    is_from_shop: bool = False,
    needs_recipient: bool = True,
    takes_payment: bool = False,
) -> Checked:
    """Return ``order`` as it may be stored. Raises ``Invalid`` with every fault.

    Free text is tidied. An order that a shop has already taken (``is_from_shop``) cannot be sent
    back: it may lack an address, and what identifies is tidied in it as well.
    ``needs_recipient``: whether the channel asks for name, phone and street; ``takes_payment``:
    whether an order of it may come with its payment.
    """
    faults: list[Fault] = []
    is_plain = _is_plain(order)
    if not is_plain:
        order = free_text.tidied_order(order, with_ids=is_from_shop)
    if order.channel not in channels:
        known = ", ".join(sorted(channels))
        faults.append(Fault("channel", f"unknown channel; configured are {known}"))
    # A shop's clock may be wrong, and some date an order on the day that it is to be sent.
    if order.placed_at > now + PLACED_AHEAD_MAX and not is_from_shop:
        faults.append(Fault("placed_at", _FUTURE))
    elif order.placed_at < _EPOCH:
        faults.append(Fault("placed_at", _PAST))
    decimals = money.DECIMALS.get(order.currency)
    if decimals is None:
        faults.append(Fault("currency", "is not an ISO 4217 currency in use"))
    else:
        faults += sums.faults(order, decimals)
    if order.payment:
        is_open = takes_payment or order.channel not in channels
        faults += _payment_faults(order, order.payment, now, is_open=is_open)
    if is_from_shop:
        _check_lengths(order, faults)
    else:
        # What a channel that is not configured asks for is not known.
        needs_recipient = needs_recipient and order.channel in channels
        _check_recipient(order.recipient, faults, is_needed=needs_recipient)
    if not is_plain:
        _check_ids(order, faults)
    if order.attributes is not None:
        _check_attributes(order.attributes, faults)
    if faults:
        raise Invalid(*faults)
    to = order.to
    return Checked(order, phones.normalised(to.phone, to.country) if to.phone else "")


def _check_recipient(to: orders.Recipient | None, faults: list[Fault], *, is_needed: bool) -> None:
    if to is None:
        if is_needed:
            faults.append(Fault("recipient", _MISSING))
        return
    if is_needed and not (to.name and to.phone and to.street):
        for name in ("name", "phone", "street"):
            if not (text := getattr(to, name)):
                faults.append(Fault(f"recipient.{name}", _MISSING if text is None else _EMPTY))
    if to.country == "CN" and to.street:
        for name in ("province", "city", "district"):
            if not getattr(to, name).strip():
                faults.append(Fault(f"recipient.{name}", "is required for country CN"))
    if to.country not in countries.CODES:
        faults.append(Fault("recipient.country", "is not a country of ISO 3166-1"))


def _payment_faults(
    order: orders.Submission, payment: orders.SubmittedPayment, now: datetime, *, is_open: bool
) -> list[Fault]:
    if not is_open:
        reason = f"is not taken: the channel {order.channel} is not configured as paid_by platform"
        return [Fault("payment", reason)]
    found = []
    if payment.paid_at > now + PLACED_AHEAD_MAX:
        found.append(Fault("payment.paid_at", _FUTURE))
    elif payment.paid_at < _EPOCH:
        found.append(Fault("payment.paid_at", _PAST))
    decimals = money.DECIMALS.get(order.currency)
    if payment.amount is not UNSET and decimals is not None:
        reason = money.fault(payment.amount, decimals) or ""
        if not reason and not payment.amount and order.amounts.payable:
            reason = "must be more than 0, or be left out where all is paid"
        if reason:
            found.append(Fault("payment.amount", reason))
    return found


def _check_lengths(order: orders.Submission, faults: list[Fault]) -> None:
    """Find what decoding finds in a submitted order: text too long, lines or pieces too many."""
    to = order.to
    texts: list[tuple[str, str, range]] = [
        ("order_no", order.order_no, range(1, 65)),
        ("buyer_id", order.buyer_id, range(1, 129)),
        ("recipient.name", to.name or "", range(129)),
        ("recipient.phone", to.phone or "", range(65)),
        ("recipient.country", to.country, range(2, 3) if order.recipient else range(1)),
        ("recipient.province", to.province, range(65)),
        ("recipient.city", to.city, range(65)),
        ("recipient.district", to.district, range(65)),
        ("recipient.street", to.street or "", range(513)),
        ("recipient.postcode", to.postcode or "", range(17)),
        ("recipient.id_number", to.id_number or "", range(33)),
        ("remark", order.remark or "", range(1025)),
        ("platform_state", order.platform_state or "", range(65)),
    ]
    for n, item in enumerate(order.items):
        texts.append((f"items[{n}].sku", item.sku, range(1, 65)))
        texts.append((f"items[{n}].name", item.name, range(1, 257)))
        if not 1 <= item.quantity <= orders.QUANTITY_MAX:
            faults.append(Fault(f"items[{n}].quantity", f"is not 1 to {orders.QUANTITY_MAX}"))
    faults.extend(
        Fault(name, f"has {len(text)} characters, not {lengths.start} to {lengths.stop - 1}")
        for name, text, lengths in texts
        if len(text) not in lengths
    )
    if not 1 <= len(order.items) <= orders.ITEMS_MAX:
        faults.append(Fault("items", f"are not 1 to {orders.ITEMS_MAX}"))


def _is_plain(order: orders.Submission) -> bool:
    """Return whether all the text is printable: one pass in C, and nearly always true."""
    to = order.to
    texts = [
        order.buyer_id, to.name or "", to.phone or "", to.province, to.city, to.district,
        to.street or "", to.postcode or "", to.id_number or "", order.remark or "",
        order.platform_state or "",
    ]  # fmt: skip
    for item in order.items:
        texts += (item.sku, item.name)
    return "".join(texts).isprintable()


def _check_ids(order: orders.Submission, faults: list[Fault]) -> None:
    ids = [("buyer_id", order.buyer_id)]
    ids += [(f"items[{n}].sku", item.sku) for n, item in enumerate(order.items)]
    reason = "holds a control character"
    faults.extend(Fault(name, reason) for name, text in ids if free_text.has_control(text))


def _check_attributes(attributes: dict[str, object], faults: list[Fault]) -> None:
    if len(attributes) > orders.ATTRIBUTES_MAX:
        faults.append(Fault("attributes", f"has more than {orders.ATTRIBUTES_MAX} entries"))
        return
    try:
        size = len(msgspec.json.encode(attributes))
    except RecursionError:
        size = 0
    if size > orders.ATTRIBUTES_BYTES_MAX:
        faults.append(Fault("attributes", f"is over {orders.ATTRIBUTES_BYTES_MAX} bytes as JSON"))
    elif size == 0 or _is_deeper(attributes, ATTRIBUTES_DEPTH_MAX):
        faults.append(Fault("attributes", f"is nested over {ATTRIBUTES_DEPTH_MAX} levels deep"))


def _is_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    elif not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deeper(inner, levels - 1) for inner in value)
