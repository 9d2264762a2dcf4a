"""GET /v1/orders…: one order, pages of orders, the history of an order."""

import base64
import binascii
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import order_details, orders, phones
from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.domain.views import EventView, OrderView, view
from gateway.stores.postgres.order_reader import Filter, OrderReader
from gateway.web.handlers.order_lookup import Journal, not_found, order_id
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response
from gateway.web.response_cache import ResponseCache

LIMIT_MAX = 200
_LIMIT = 50
LIST_PARAMETERS = frozenset(
    {
        "channel", "order_no", "status", "placed_from", "placed_to", "phone", "country", "limit",
        "cursor", "is_test", "hold", "is_part_paid",
    }
)  # fmt: skip


class OrderPage(Struct, frozen=True):
    """Orders, newest first. ``next_cursor`` fetches the next page; null on the last page."""

    orders: list[OrderView]
    next_cursor: str | None


class History(Struct, frozen=True):
    """The events of an order, oldest first."""

    events: list[EventView]


_encode = msgspec.json.Encoder().encode


class QueryHandler:
    """Handles reads. A read sees everything that was acknowledged before it began.

    While the primary is unavailable it sees what was acknowledged more than ``Age`` seconds ago.
    """

    def __init__(
        self, *, reader: OrderReader, journal: Journal | None, response_cache: ResponseCache
    ) -> None:
        self._reader = reader
        self._journal = journal
        self._response_cache = response_cache

    async def get_order(self, request: Request) -> Response:
        """Answer with an order in its current state."""
        principal, id_ = principal_of(request), order_id(request)
        found = await self._reader.order(id_, principal.visible(), principal.visible_is_test())
        if found is None:
            raise Answered(await not_found(id_, self._journal))
        order, details = found.value
        shown = order_details.detail(order, details, in_clear=principal.may("query_pii"))
        return Response(200, _encode(shown), head=_age(found.age_s))

    async def get_history(self, request: Request) -> Response:
        """Answer with the events of an order."""
        principal, id_ = principal_of(request), order_id(request)
        found = await self._reader.history(id_, principal.visible(), principal.visible_is_test())
        if found is None:
            raise Answered(await not_found(id_, self._journal))
        return Response(200, _encode(History(found.value)), head=_age(found.age_s))

    async def list_orders(self, request: Request) -> Response:
        """Answer with a page of orders."""
        principal = principal_of(request)
        faults: list[Fault] = []
        query = parse_filter(request.query(LIST_PARAMETERS, faults), principal, faults)
        found = await self._reader.page(query)
        in_clear = principal.may("query_pii")
        page = found.value
        cursor = None
        if len(page) == query.limit:
            cursor = _cursor(page[-1].placed_at, UUID(page[-1].id))
        shown = OrderPage([view(order, in_clear=in_clear) for order in page], cursor)
        body = _encode(shown)
        self._response_cache.put(principal.key_id, request.raw.raw_path, body, found.age_s or 0)
        return Response(200, body, head=_age(found.age_s))

    def cached_page(self, request: Request) -> Response | None:
        """Return the answer to the same key and query within the last minute, or None."""
        found = self._response_cache.get(principal_of(request).key_id, request.raw.raw_path)
        return None if found is None else Response(200, found[0], head=_age(found[1]))


def principal_of(request: Request) -> Principal:
    """Return the principal of a request whose route requires a role."""
    assert request.principal is not None, "the route requires a role"
    return request.principal


def _age(age_s: int | None) -> str:
    """Return the Age line of an answer that may be stale; empty for a current one."""
    return "" if age_s is None else f"Age: {age_s}\r\n"


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


def _cursor(at: datetime, id_: UUID) -> str:
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
