"""Complete orders in messages of shops: shared by all shops.

A shop's message holds the current order. It becomes one item for the order itself and one for each
event of it.

- The order's item is identified by the whole message: other content is another message, not a
  repeat. What is parked is identified by its reason: a shop tells the same order many times.
- An event is identified by the order and a name, so the next message about the same order changes
  nothing twice.
- Parts that cannot be read are parked, and do not stop the rest.

Texts that are too long for a column go, sealed, into the attributes of the order; of one that does
not fit there either, the beginning.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from gateway.domain import errors, events, money, orders
from gateway.providers import contract
from gateway.providers.shared import fields

REFUNDS_MAX = 100
NAME_MAX, SKU_MAX, BUYER_MAX, REMARK_MAX = 256, 64, 128, 1024
CARRIER_MAX, TRACKING_NO_MAX = 64, 64

#: How PHP and MySQL write a time that is none.
_NO_TIME = re.compile(r"\s*(?:-?0{3,4}[01]?-|1970-01-01|0\s*$)")

#: The private or geographic columns of a recipient, and how many characters each holds.
_COLUMNS: Mapping[str, int] = {
    "name": 128,
    "phone": 64,
    "street": 512,
    "province": 64,
    "city": 64,
    "district": 64,
    "postcode": 16,
}


class Unclear(Exception):
    """The order is well formed but cannot be stored; the text says why."""


class OrderMessage(Struct, kw_only=True):
    """The context that all items of one message about one order share."""

    #: The kind of the message, shown with parked items.
    kind: str
    #: Set once the shop's number was found to be a valid order number.
    order_no: str = ""
    #: Identifies the order at its shop; the first part of the key of all its events.
    key: str
    #: Digest of the content of the message.
    digest: str
    now: datetime
    #: Last change of the order as the shop wrote it, and the zone of times without one.
    changed: str | None
    zone: tzinfo | None = None

    @property
    def at(self) -> datetime:
        """Return when the order changed last; ``now`` if that cannot be read."""
        return moment_or(self.now, self.changed, zone=self.zone)

    def item(self, what: str, event: events.Event) -> contract.Item:
        """Return the item of an event, with the same key in every message that reports it."""
        return contract.Item(f"{self.key}:{what}", event)

    def whole(self, event: events.Event | orders.Submission) -> contract.Item:
        """Return the item of the order itself, with a key of this message alone."""
        return contract.Item(f"{self.key}:{self.digest}", event)

    def notice(self, detail: str, what: str = "status") -> contract.Item:
        """Park an issue for a person, in addition to the order itself: once, however often told."""
        return self.item(f"{what}:{short_digest(self.kind, detail)}", self.unmapped(detail))

    def unread(self, detail: str) -> contract.Item:
        """Park an order, or its events, that cannot be read: once for each reason."""
        return self.item(f"unread:{short_digest(detail)}", self.unmapped(detail))

    def unmapped(self, detail: str) -> events.Unmapped:
        """Return the event of a part that cannot be booked."""
        return events.Unmapped(self.kind, self.order_no, detail, self.at)


class Report(Protocol):
    """One decoded order of one kind of shop."""

    def submission(self) -> orders.Submission:
        """Return the order in the Standard Order Model. Raises ``Rejected`` or ``Unclear``."""
        ...

    def happened(self) -> list[contract.Item]:
        """Return the events that the order's states prove, payments first. Raises ``Rejected``."""
        ...


def items(
    message: OrderMessage, number: str, *, id_: str, report: Callable[[OrderMessage], Report]
) -> list[contract.Item]:
    """Return the order and its events; parked items where they cannot be read.

    ``number`` is the order number as the shop writes it, ``id_`` the shop's own id of the order.
    ``report`` decodes the order and may raise ``Rejected``.
    """
    try:
        order_no = fields.order_no(number.strip())
    except errors.Rejected as rejected:
        # A shop chooses the format of its numbers: a genuine message, so it is not rejected.
        return [message.unread(f"{rejected.hint}; order {id_}")]
    message.order_no = order_no
    try:
        order = report(message)
    except errors.Rejected as rejected:
        return [message.unread(rejected.hint)]
    found = [_placed(message, order)]
    try:
        found.extend(order.happened())
    except errors.Rejected as rejected:
        notice = message.unread(rejected.hint)
        if notice.key != found[0].key:
            found.append(notice)
    return found


def _placed(message: OrderMessage, order: Report) -> contract.Item:
    try:
        return message.whole(order.submission())
    except errors.Rejected as rejected:
        return message.unread(rejected.hint)
    except Unclear as unclear:
        return message.unread(str(unclear))


def refunds(
    message: OrderMessage,
    listed: Sequence[msgspec.Raw],
    item: Callable[[msgspec.Raw], tuple[int, contract.Item | None]],
) -> list[contract.Item]:
    """Return the refunds; a malformed one is parked and does not stop the others.

    ``item`` returns the shop's number of a refund and its item, None for one that moves no money.
    It may raise ``Rejected``.
    """
    found: list[contract.Item] = []
    seen = set()
    for refund in listed[:REFUNDS_MAX]:
        try:
            number, returned = item(refund)
            if number in seen:
                raise fields.malformed("two refunds with the same number")
        except errors.Rejected as rejected:
            # Its place in the list shifts with the next one; what is told of it does not.
            told = short_digest(bytes(refund).decode("utf-8", "replace"))
            notice = message.notice(rejected.hint, f"refund_{told}")
            if notice.key not in [known.key for known in found]:
                found.append(notice)
            continue
        seen.add(number)
        if returned is not None:
            found.append(returned)
    if len(listed) > REFUNDS_MAX:
        found.append(message.notice(f"more than {REFUNDS_MAX} refunds", "refunds"))
    return found


def id_text(number: int, *, giver: str) -> str:
    """Return a shop's id as text. Raises ``Rejected`` for one that does not fit 63 bits."""
    if 0 < number < 1 << 63:
        return str(number)
    raise fields.malformed(f"an id is not a number that {giver} assigns")


def moment(text: str, *, zone: tzinfo | None = None) -> datetime:
    """Parse an ISO 8601 time; ``zone`` is that of a time without one. Raises ``Rejected``."""
    try:
        at = datetime.fromisoformat(text)
        return fields.moment(at.replace(tzinfo=zone) if at.tzinfo is None else at)
    except (ValueError, OverflowError):
        raise fields.malformed("an invalid time") from None


def moment_or(now: datetime, text: str | None, *, zone: tzinfo | None = None) -> datetime:
    """Parse a time as ``moment`` does; ``now`` if it is missing or invalid."""
    try:
        return moment(text or "", zone=zone)
    except errors.Rejected:
        return now


def is_time(text: str | None) -> bool:
    """Return whether a shop tells a time: neither nothing nor the zero date of its database."""
    return bool(text and text.strip()) and not _NO_TIME.match(text or "")


def check_quantity(quantity: int | Decimal) -> None:
    """Raise ``Unclear`` unless the quantity of a line is in bounds."""
    if not 1 <= quantity <= orders.QUANTITY_MAX:
        raise Unclear("a line has a quantity out of bounds")


def check_lines(lines: Sequence[orders.Item]) -> None:
    """Raise ``Unclear`` unless the number of lines is in bounds."""
    if not 1 <= len(lines) <= orders.ITEMS_MAX:
        raise Unclear(f"has not 1 to {orders.ITEMS_MAX} lines")


def line(
    *, numbers: Iterable[str], name: str, quantity: int, full: Decimal, cost: Decimal, currency: str
) -> orders.Item:
    """Return a line with the price ``full`` and the cost ``cost``, both for the whole quantity.

    The unit price is rounded up to the currency's unit, and the excess is part of the discount.
    """
    sku = first_fitting(numbers, SKU_MAX) or "unknown"
    price = (full / quantity).quantize(money.UNITS[currency], ROUND_CEILING)
    return orders.Item(
        sku=sku,
        name=name[:NAME_MAX] or sku,
        quantity=quantity,
        unit_price=price,
        discount=price * quantity - cost,
    )


def parcel_lines(told: Iterable[tuple[str, int]]) -> tuple[events.ParcelLine, ...]:
    """Return what a parcel holds, by article and pieces; nothing where a line cannot be stored."""
    found = tuple(events.ParcelLine(sku, pieces) for sku, pieces in told)
    is_right = all(
        1 <= len(line.sku) <= SKU_MAX
        and line.sku.isprintable()
        and 1 <= line.quantity <= orders.QUANTITY_MAX
        for line in found
    )
    return found if is_right else ()


def goods(lines: Iterable[orders.Item]) -> Decimal:
    """Return the sum of the lines, after their own discounts."""
    return sum((line.unit_price * line.quantity - line.discount for line in lines), money.ZERO)


def first_fitting(texts: Iterable[str], length_max: int) -> str:
    """Return the first text that is neither empty nor too long, or ``""``."""
    return next((text for text in texts if text and len(text) <= length_max), "")


def buyer_id(known: str, order_no: str) -> str:
    """Return the buyer's id; for a guest, an id that differs from those of other guests."""
    return known or f"order:{order_no}"


def country(codes: Iterable[str | None], default: str) -> str:
    """Return the first ISO 3166-1 alpha-2 code among ``codes``, or the default."""
    return next((c for c in codes if c and len(c) == 2 and c.isascii() and c.isupper()), default)


def recipient(
    country_code: str, texts: Mapping[str, str], *, names: Mapping[str, str] | None = None
) -> tuple[orders.Recipient, dict[str, Any]]:
    """Return the recipient and, by name, the texts that are too long for their columns.

    ``texts`` are by column; ``names`` are the shop's own names of the columns, where they differ.
    """
    long = {column: text for column, text in texts.items() if len(text) > _COLUMNS[column]}
    fit = {**texts, **dict.fromkeys(long, "")} if long else texts
    to = orders.Recipient(
        name=fit["name"],
        phone=fit["phone"],
        country=country_code,
        street=fit["street"],
        province=fit["province"],
        city=fit["city"],
        district=fit.get("district", ""),
        postcode=fit["postcode"] or None,
    )
    sealed: dict[str, Any] = {
        (names or {}).get(column, column): text for column, text in long.items()
    }
    return to, sealed


def remark(text: str, *, name: str, sealed: dict[str, Any]) -> str | None:
    """Return the remark, if there is one; a remark that is too long goes to ``sealed``."""
    if len(text) <= REMARK_MAX:
        return text or None
    sealed[name] = text
    return None


def attributes(sealed: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the attributes of an order, if it has any; the longest are cut until all fit."""
    fit = dict(sealed)
    while len(msgspec.json.encode(fit)) > orders.ATTRIBUTES_BYTES_MAX:
        longest = max(fit, key=lambda name: len(fit[name]))
        fit[longest] = fit[longest][: len(fit[longest]) // 2]
    return dict(fit) or None


def joined(between: str, *texts: str | None) -> str:
    """Join the texts that are not empty."""
    return between.join(filter(None, map(stripped, texts)))


def short_digest(*texts: str) -> str:
    """Return a digest of texts, for keys."""
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()


def stripped(value: str | None) -> str:
    """Return the text without blanks around it, ``""`` for none."""
    return (value or "").strip()
