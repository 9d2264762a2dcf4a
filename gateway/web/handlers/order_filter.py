"""The query of a list or an export of orders: its filter, its page, and what is wrong with it."""

import base64
import binascii
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import msgspec

from gateway.domain import orders, phones
from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.stores.postgres.order_reader import Filter
from gateway.web.problems import Answered, problem

LIMIT_MAX = 200
_LIMIT = 50
LIST_PARAMETERS = frozenset(
    {
        "channel", "order_no", "status", "placed_from", "placed_to", "phone", "country", "limit",
        "cursor", "is_test", "hold", "is_part_paid",
    }
)  # fmt: skip


def parse_filter(values: dict[str, str], principal: Principal, faults: list[Fault]) -> Filter:
    """Return the filter of a query, limited to the key's channels.

    Raises ``Answered`` with 422 and all ``faults``, those that the caller has found and its own.
    """
    for name, value in list(values.items()):
        # A telephone number may be pasted with the direction marks that hold it together.
        if not 1 <= len(value) <= 256 or not (name == "phone" or value.isprintable()):
            faults.append(Fault(name, "must have 1 to 256 printable characters"))
            del values[name]
    channels = principal.visible()
    if channel := values.get("channel"):
        if not principal.may_use(channel):
            faults.append(Fault("channel", "is not one of the key's channels"))
        channels = [channel]
    status = values.get("status")
    if status is not None and status not in get_args(orders.Status):
        faults.append(Fault("status", f"must be one of {', '.join(get_args(orders.Status))}"))
    query = Filter(
        channels=channels,
        order_no=values.get("order_no"),
        status=status,
        placed_from=_time(values, "placed_from", faults),
        placed_to=_time(values, "placed_to", faults),
        phones=_phones(values, faults),
        is_test=_is_test(values, principal, faults),
        holds=_holds(values, faults),
        is_part_paid=_flag(values, "is_part_paid", faults),
        after=_after(values, faults),
        limit=_limit(values, faults),
    )
    if faults:
        raise Answered(problem("invalid", faults=faults))
    return query


def _time(values: dict[str, str], name: str, faults: list[Fault]) -> datetime | None:
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


def _is_test(values: dict[str, str], principal: Principal, faults: list[Fault]) -> bool | None:
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
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        faults.append(Fault("country", "must be two capital letters (ISO 3166-1)"))
        return None
    found = phones.spellings(text, country)
    if found and text.startswith(" "):
        # A plus sign that was not encoded arrives as a space.
        found += phones.spellings(f"+{text.strip()}", country)
    if not found:
        faults.append(Fault("phone", "has nothing to search for"))
    return found


def _limit(values: dict[str, str], faults: list[Fault]) -> int:
    text = values.get("limit", str(_LIMIT))
    if text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    faults.append(Fault("limit", f"must be a whole number from 1 to {LIMIT_MAX}"))
    return _LIMIT


def cursor_after(at: datetime, id_: UUID) -> str:
    """Return the cursor of the page after the order that was placed at ``at``."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{id_}".encode()).decode()


def _after(values: dict[str, str], faults: list[Fault]) -> tuple[datetime, UUID] | None:
    text = values.get("cursor")
    if text is None:
        return None
    try:
        at, _, id_ = base64.b64decode(text, altchars=b"-_", validate=True).decode().partition("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC), UUID(id_)
    except (binascii.Error, ValueError, OverflowError):
        pass
    faults.append(Fault("cursor", "must be the next_cursor of the previous page, unchanged"))
    return None
