"""GET /v1/orders…: one order, pages of orders, the history of an order."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.domain import addresses, order_details
from gateway.domain.access import Principal
from gateway.domain.errors import Fault
from gateway.domain.order_details import OrderDetail
from gateway.domain.views import EventView
from gateway.runtime.clock import Clock
from gateway.stores.postgres.change_feed import ChangeFeed, ChangesNotKept
from gateway.stores.postgres.order_reader import OrderReader
from gateway.stores.postgres.order_rows import Found
from gateway.stores.postgres.replicas import Answer
from gateway.web.handlers import change_query
from gateway.web.handlers.order_filter import LIST_PARAMETERS, cursor_after, parse_filter
from gateway.web.handlers.order_lookup import Journal, not_found, order_id
from gateway.web.problems import Answered
from gateway.web.request import Request
from gateway.web.response import Response
from gateway.web.response_cache import ResponseCache


class OrderPage(Struct, frozen=True):
    """Orders, newest first; with ``updated_since`` in the sequence of their changes.

    ``next_cursor`` fetches the next page. On the last page of a list it is null; on that of changes
    it fetches what changes from here on.
    """

    orders: list[OrderDetail]
    next_cursor: str | None
    is_last: Annotated[bool, Meta(description="Whether there was nothing beyond this page.")]


class History(Struct, frozen=True):
    """The events of an order, oldest first."""

    events: list[EventView]


_encode = msgspec.json.Encoder().encode


class QueryHandler:
    """Handles reads. A read sees everything that was acknowledged before it began.

    While the primary is unavailable it sees what was acknowledged more than ``Age`` seconds ago.
    """

    def __init__(
        self,
        *,
        reader: OrderReader,
        changes: ChangeFeed,
        journal: Journal | None,
        response_cache: ResponseCache,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._changes = changes
        self._journal = journal
        self._response_cache = response_cache
        self._clock = clock

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
        in_clear = principal.may("query_pii")
        shown = [
            each
            if each.address is None
            else msgspec.structs.replace(
                each, address=addresses.shown(each.address, in_clear=in_clear)
            )
            for each in found.value
        ]
        return Response(200, _encode(History(shown)), head=_age(found.age_s))

    async def list_orders(self, request: Request) -> Response:
        """Answer with a page of orders."""
        principal = principal_of(request)
        faults: list[Fault] = []
        values = request.query(LIST_PARAMETERS, faults)
        if change_query.is_asked(values):
            return await self._list_changes(request, values, faults)
        query = parse_filter(values, principal, faults, now=self._clock.now())
        found = await self._reader.page(query)
        page = found.value
        cursor = cursor_after(page, query) if len(page) == query.limit else None
        return self._page(
            request, OrderPage(_shown(page, principal), cursor, cursor is None), found
        )

    async def _list_changes(
        self, request: Request, values: dict[str, str], faults: list[Fault]
    ) -> Response:
        principal = principal_of(request)
        query = change_query.parse(values, principal, faults)
        try:
            after = query.after
            if query.since is not None:
                after = await self._changes.start(query.since, now=self._clock.now())
            found = await self._changes.page(
                after=after, channels=query.channels, is_test=query.is_test, limit=query.limit
            )
        except ChangesNotKept as exc:
            raise change_query.not_kept(values, exc.kept_since) from exc
        page = found.value
        cursor = change_query.cursor_after(page.reached)
        shown = OrderPage(_shown(page.orders, principal), cursor, is_last=page.is_last)
        return self._page(request, shown, found)

    def _page(self, request: Request, page: OrderPage, found: Answer[Any]) -> Response:
        body = _encode(page)
        key_id = principal_of(request).key_id
        self._response_cache.put(key_id, request.raw.raw_path, body, found.age_s or 0)
        return Response(200, body, head=_age(found.age_s))

    def cached_page(self, request: Request) -> Response | None:
        """Return the answer to the same key and query within the last minute, or None."""
        found = self._response_cache.get(principal_of(request).key_id, request.raw.raw_path)
        return None if found is None else Response(200, found[0], head=_age(found[1]))


def principal_of(request: Request) -> Principal:
    """Return the principal of a request whose route requires a role."""
    assert request.principal is not None, "the route requires a role"
    return request.principal


def _shown(page: Sequence[Found], principal: Principal) -> list[OrderDetail]:
    in_clear = principal.may("query_pii")
    return [order_details.detail(order, details, in_clear=in_clear) for order, details in page]


def _age(age_s: int | None) -> str:
    """Return the Age line of an answer that may be stale; empty for a current one."""
    return "" if age_s is None else f"Age: {age_s}\r\n"
