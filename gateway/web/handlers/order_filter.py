"""The query of a list or an export of orders: its filter, its page, and what is wrong with it."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import msgspec

from gateway.domain import orders, phones
from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.stores.postgres.order_reader import Filter, SortKey
from gateway.stores.postgres.order_rows import Found
from gateway.web.problems import Answered, problem

LIMIT_MAX = 200
_LIMIT = 50
LIST_PARAMETERS = frozenset(
    {
        "channel", "order_no", "status", "placed_from", "placed_to", "phone", "country", "limit",
        "cursor", "is_test", "hold", "is_part_paid", "paid_from", "paid_to", "updated_from",
        "updated_to", "updated_since", "tracking_no", "transaction_id", "provider", "buyer_id",
        "region",
    }
)  # fmt: skip
#: No index serves these: the orders of a bounded time are read for them. An index each would be
#: written with every order that is placed, for questions that are asked now and then.
_SCANNED = ("provider", "buyer_id", "region", "updated_from", "updated_to")
#: These find so few orders that the others may be anything.
_SELECTIVE = ("order_no", "phone", "tracking_no", "transaction_id")
SCAN_DAYS_MAX = 31
#: For each order its payments are looked up: that takes some times as long.
PROVIDER_SCAN_DAYS_MAX = 7
_REGION_PARTS_MAX = 4
#: Begins the cursor of a list that is sorted by when the orders were paid.
_PAID = "paid|"


def parse_filter(
    values: dict[str, str], principal: Principal, faults: list[Fault], *, now: datetime
) -> Filter:
    """Return the filter of a query, limited to the key's channels.

    Raises ``Answered`` with 422 and all ``faults``, those that the caller has found and its own.
    """
    drop_unprintable(values, faults)
    channels = visible_channels(values, principal, faults)
    status = values.get("status")
    if status is not None and status not in get_args(orders.Status):
        faults.append(Fault("status", f"must be one of {', '.join(get_args(orders.Status))}"))
    query = Filter(
        channels=channels,
        order_no=values.get("order_no"),
        status=status,
        placed_from=time_of(values, "placed_from", faults),
        placed_to=time_of(values, "placed_to", faults),
        phones=_phones(values, faults),
        is_test=which_kind(values, principal, faults),
        holds=_holds(values, faults),
        is_part_paid=_flag(values, "is_part_paid", faults),
        paid_from=time_of(values, "paid_from", faults),
        paid_to=time_of(values, "paid_to", faults),
        updated_from=time_of(values, "updated_from", faults),
        updated_to=time_of(values, "updated_to", faults),
        tracking_no=values.get("tracking_no"),
        transaction_id=values.get("transaction_id"),
        provider=values.get("provider"),
        buyer_id=values.get("buyer_id"),
        region=_region(values, faults),
        limit=limit_of(values, faults),
    )
    query = msgspec.structs.replace(query, after=_after(values, query.key, faults))
    if not faults:
        _check_is_bounded(values, query, now, faults)
    if faults:
        raise Answered(problem("invalid", faults=faults))
    return query


def time_of(values: dict[str, str], name: str, faults: list[Fault]) -> datetime | None:
    """Return the time that a parameter is; None: it was not sent, or is none."""
    text = values.get(name)
    if text is None:
        return None
    try:
        # A plus sign that was not encoded arrives as a space.
        at = msgspec.convert(text.replace(" ", "+"), datetime)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (msgspec.ValidationError, ValueError, OverflowError):
        pass
    faults.append(Fault(name, "must be an RFC 3339 time with a time zone"))
    return None


def which_kind(values: dict[str, str], principal: Principal, faults: list[Fault]) -> bool | None:
    """Return which orders to list: only test orders, only live ones, or (None) both.

    Without a word those of the key's own kind. A key for tests has no others.
    """
    word = values.get("is_test", "true" if principal.is_test else "false")
    if word not in ("true", "false", "any"):
        faults.append(Fault("is_test", "must be true, false or any"))
    elif principal.is_test and word == "false":
        faults.append(Fault("is_test", "cannot be false: a key for tests sees test orders only"))
    return True if principal.is_test else {"true": True, "false": False}.get(word)


def _holds(values: dict[str, str], faults: list[Fault]) -> list[str] | None:
    word, known = values.get("hold"), list(get_args(orders.Hold))
    if word is None:
        return None
    if word == "any":
        return known
    if word not in known:
        faults.append(Fault("hold", f"must be any, or one of {', '.join(known)}"))
    return [word]


def _flag(values: dict[str, str], name: str, faults: list[Fault]) -> bool | None:
    word = values.get(name)
    if word not in (None, "true", "false"):
        faults.append(Fault(name, "must be true or false"))
    return None if word is None else word == "true"


def _phones(values: dict[str, str], faults: list[Fault]) -> list[str] | None:
    text = values.get("phone")
    if text is None:
        return None
    country = values.get("country", "CN")
    if not _is_country(country):
        faults.append(Fault("country", "must be two capital letters (ISO 3166-1)"))
        return None
    found = phones.spellings(text, country)
    if found and text.startswith(" "):
        # A plus sign that was not encoded arrives as a space.
        found += phones.spellings(f"+{text.strip()}", country)
    if not found:
        faults.append(Fault("phone", "has nothing to search for"))
    return found


def _is_country(text: str) -> bool:
    return len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()


def limit_of(values: dict[str, str], faults: list[Fault]) -> int:
    """Return how many orders a page is to have at most."""
    text = values.get("limit", str(_LIMIT))
    if text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    faults.append(Fault("limit", f"must be a whole number from 1 to {LIMIT_MAX}"))
    return _LIMIT


def cursor_after(page: Sequence[Found], query: Filter) -> str:
    """Return the cursor of the page after this one."""
    at, id_ = last_of(page, query)
    prefix = _PAID if query.key == "paid_at" else ""
    return encoded(f"{prefix}{at.isoformat()}|{id_}")


def last_of(page: Sequence[Found], query: Filter) -> tuple[datetime, UUID]:
    """Return where the next page begins."""
    order, _ = page[-1]
    at = order.paid_at if query.key == "paid_at" else order.placed_at
    assert at is not None, "only what was paid is listed by when it was"
    return at, UUID(order.id)


def encoded(text: str) -> str:
    """Return a cursor that is this text, as nobody should read it."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def decoded(cursor: str) -> str:
    """Return the text of a cursor; empty where it is none."""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _after(
    values: dict[str, str], key: SortKey, faults: list[Fault]
) -> tuple[datetime, UUID] | None:
    cursor = values.get("cursor")
    if cursor is None:
        return None
    text = decoded(cursor)
    at, _, id_ = text.removeprefix(_PAID).partition("|")
    if text.startswith(_PAID) is (key == "paid_at"):
        try:
            moment = datetime.fromisoformat(at)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC), UUID(id_)
        except (ValueError, OverflowError):
            pass
    faults.append(Fault("cursor", "must be the next_cursor of the previous page, unchanged"))
    return None


def _region(values: dict[str, str], faults: list[Fault]) -> list[str] | None:
    text = values.get("region")
    if text is None:
        return None
    parts = text.split("/")
    if len(parts) > _REGION_PARTS_MAX or not all(parts) or not _is_country(parts[0]):
        faults.append(
            Fault(
                "region",
                "must be a country (ISO 3166-1), and province, city and district as the orders "
                "have them, with / in between: CN, CN/Zhejiang, CN/Zhejiang/Hangzhou",
            )
        )
    return parts


def _check_is_bounded(
    values: dict[str, str], query: Filter, now: datetime, faults: list[Fault]
) -> None:
    """Add a fault for each filter that would read all orders that there are."""
    if any(name in values for name in _SELECTIVE):
        return
    spans = [
        (to or now) - first
        for first, to in (
            (query.placed_from, query.placed_to),
            (query.paid_from, query.paid_to),
        )
        if first is not None
    ]
    for name in _SCANNED:
        days = PROVIDER_SCAN_DAYS_MAX if name == "provider" else SCAN_DAYS_MAX
        if name in values and not any(span <= timedelta(days=days) for span in spans):
            reason = (
                f"must come with placed_from and placed_to, or paid_from and paid_to, at most "
                f"{days} days apart; or with {', '.join(_SELECTIVE[:-1])} or {_SELECTIVE[-1]}"
            )
            faults.append(Fault(name, reason))


def visible_channels(
    values: dict[str, str], principal: Principal, faults: list[Fault]
) -> Sequence[str] | None:
    """Return the channels to list, which the key may see; None: every channel."""
    channel = values.get("channel")
    if channel is None:
        return principal.visible()
    if not principal.may_use(channel):
        faults.append(Fault("channel", "is not one of the key's channels"))
    return [channel]


def drop_unprintable(values: dict[str, str], faults: list[Fault]) -> None:
    """Drop values that no parameter can have, with a fault for each."""
    for name, value in list(values.items()):
        # A telephone number may be pasted with the direction marks that hold it together.
        if not 1 <= len(value) <= 256 or not (name == "phone" or value.isprintable()):
            faults.append(Fault(name, "must have 1 to 256 printable characters"))
            del values[name]
