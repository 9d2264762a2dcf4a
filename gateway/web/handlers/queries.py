"""GET /v1/orders…: one order, pages of orders, an order's history."""

import base64
import binascii
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import orders, phones
from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.domain.views import EventView, OrderView, view
from gateway.stores.postgres.order_reader import Filter, OrderReader
from gateway.web.handlers.missing_order import Journal, order_id, unknown
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response
from gateway.web.response_cache import ResponseCache

LIMIT_MAX = 200
_LIMIT = 50
PARAMETERS = frozenset(
    {
        "channel", "order_no", "status", "placed_from", "placed_to", "phone", "country", "limit",
        "cursor",
    }
)  # fmt: skip


class OrderPage(Struct, frozen=True):
    """Orders, newest first. ``next_cursor`` fetches the page after; null on the last one."""

    orders: list[OrderView]
    next_cursor: str | None


class History(Struct, frozen=True):
    """What happened to an order, step by step."""

    events: list[EventView]


_encode = msgspec.json.Encoder().encode


class OrderQueries:
    """Handles reads. What was acknowledged before a read is seen by it.

    While the primary is away, what was acknowledged longer ago than the header ``Age`` says is.
    """

    def __init__(
        self, *, reading: OrderReader, journal: Journal | None, shelf: ResponseCache
    ) -> None:
        self._reading = reading
        self._journal = journal
        self._shelf = shelf

    async def one(self, request: Request) -> Response:
        """Answer with an order as it stands."""
        principal, id_ = principal_of(request), order_id(request)
        found = await self._reading.order(id_, principal.visible())
        if found is None:
            raise Answered(await unknown(id_, self._journal))
        shown = view(found.value, in_clear=principal.may("query_pii"))
        return Response(200, _encode(shown), head=_age(found.age_s))

    async def history(self, request: Request) -> Response:
        """Answer with an order's history."""
        id_ = order_id(request)
        found = await self._reading.history(id_, principal_of(request).visible())
        if found is None:
            raise Answered(await unknown(id_, self._journal))
        return Response(200, _encode(History(found.value)), head=_age(found.age_s))

    async def page(self, request: Request) -> Response:
        """Answer with a page of orders."""
        principal = principal_of(request)
        asked = wanted(request.query(PARAMETERS), principal)
        found = await self._reading.page(asked)
        in_clear = principal.may("query_pii")
        page = found.value
        cursor = None
        if len(page) == asked.limit:
            cursor = _cursor(page[-1].placed_at, UUID(page[-1].id))
        shown = OrderPage([view(order, in_clear=in_clear) for order in page], cursor)
        body = _encode(shown)
        self._shelf.put(principal.key_id, request.raw.raw_path, body, found.age_s or 0)
        return Response(200, body, head=_age(found.age_s))

    def page_of_before(self, request: Request) -> Response | None:
        """Return the answer that the same key had to the same question within the last minute."""
        found = self._shelf.get(principal_of(request).key_id, request.raw.raw_path)
        return None if found is None else Response(200, found[0], head=_age(found[1]))


def principal_of(request: Request) -> Principal:
    """Return who asks."""
    assert request.principal is not None, "the route requires a role"
    return request.principal


def _age(age_s: int | None) -> str:
    """Return the head line of an answer that may be old, and of no other."""
    return "" if age_s is None else f"Age: {age_s}\r\n"


def wanted(values: dict[str, str], principal: Principal) -> Filter:
    """Return what a query asks for, within the key's channels. Raises ``Answered`` with 422."""
    faults: list[Fault] = []
    for name, value in values.items():
        if not value or len(value) > 256 or not value.isprintable():
            faults.append(Fault(name, "must have 1 to 256 printable characters"))
    if faults:
        raise Answered(problem("invalid", faults=faults))
    channels = principal.visible()
    if channel := values.get("channel"):
        if not principal.may_use(channel):
            faults.append(Fault("channel", "is not one of the key's channels"))
        channels = [channel]
    status = values.get("status")
    if status is not None and status not in get_args(orders.Status):
        faults.append(Fault("status", f"must be one of {', '.join(get_args(orders.Status))}"))
    asked = Filter(
        channels=channels,
        order_no=values.get("order_no"),
        status=status,
        placed_from=_time(values, "placed_from", faults),
        placed_to=_time(values, "placed_to", faults),
        phone=_phone(values, faults),
        after=_after(values, faults),
        limit=_limit(values, faults),
    )
    if faults:
        raise Answered(problem("invalid", faults=faults))
    return asked


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
    faults.append(Fault(name, "must be an RFC 3339 time with its zone"))
    return None


def _phone(values: dict[str, str], faults: list[Fault]) -> str | None:
    text = values.get("phone")
    if text is None:
        return None
    country = values.get("country", "CN")
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        faults.append(Fault("country", "must be two capital letters (ISO 3166-1)"))
        return None
    # Many callers forget to encode the plus sign, which then arrives as a space.
    phone = phones.normalised(text.strip(), country)
    if phone is None:
        faults.append(Fault("phone", "is not a telephone number of the country (default CN)"))
    return phone


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
    faults.append(Fault("cursor", "must be the next_cursor of the page before, unchanged"))
    return None
