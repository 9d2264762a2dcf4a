"""GET /v1/orders/export: all orders that a query means, as CSV, page by page."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from gateway.domain import features, order_csv
from gateway.domain.access import Principal
from gateway.domain.errors import Fault, TidegateError
from gateway.domain.views import view
from gateway.overload.admission import Overload
from gateway.stores.postgres.audit_log import AuditLog
from gateway.stores.postgres.order_reader import Filter, OrderReader
from gateway.web.handlers.queries import PARAMETERS, principal_of, wanted
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import StreamedResponse

_log = logging.getLogger(__name__)

#: Those of a list, but for what makes pages of it.
EXPORT_PARAMETERS = PARAMETERS - {"limit", "cursor"} | {"bom"}
_PAGE_ROWS = 200
#: Seconds between two looks whether exports are alight again.
_LOOK_S = 0.5
_BOM = b"\xef\xbb\xbf"


class BrokenOff(Exception):
    """Ends an export before its end; its connection is cut, so that nobody takes it for whole."""


class OrderExports:
    """Handles exports: so many at once, each with its audit rows before and after."""

    def __init__(
        self,
        *,
        reading: OrderReader,
        audit: AuditLog,
        overload: Overload,
        rows_max: int,
        exports_max: int,
        dark_s: float = 60.0,
    ) -> None:
        """``dark_s``: how long an export waits in the dark until it is broken off."""
        self._reading = reading
        self._audit = audit
        self._overload = overload
        self._rows_max = rows_max
        self._exports_max = exports_max
        self._dark_s = dark_s
        self.running = 0

    async def export(self, request: Request) -> StreamedResponse:
        """Answer with all orders that the query means, once it is written down who wants them."""
        principal = principal_of(request)
        values = request.query(EXPORT_PARAMETERS)
        bom = values.pop("bom", "false")
        if bom not in ("true", "false"):
            raise Answered(problem("invalid", faults=[Fault("bom", "must be true or false")]))
        asked = msgspec.structs.replace(wanted(values, principal), limit=_PAGE_ROWS)
        if self.running >= self._exports_max:
            detail = "as many exports run as may at once"
            raise Answered(problem("unavailable", detail, head="Retry-After: 30\r\n"))
        self.running += 1
        try:
            request.leave_slot()
            await self._audit.append(
                _actor(principal), "orders.export", _told(asked), _sight(principal)
            )
        except BaseException:
            self.running -= 1
            raise
        name = f"orders-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv"
        return StreamedResponse(
            200,
            self._pieces(asked, principal, _BOM if bom == "true" else b""),
            "text/csv; charset=utf-8; header=present",
            self._leave,
            f'Content-Disposition: attachment; filename="{name}"\r\nCache-Control: no-store\r\n',
        )

    async def _pieces(
        self, asked: Filter, principal: Principal, mark: bytes
    ) -> AsyncGenerator[bytes, None]:
        count, is_whole = 0, False
        in_clear = principal.may("query_pii")
        try:
            yield mark + order_csv.head()
            while not is_whole:
                await self._wait_for_light()
                page = (await self._reading.page(asked)).value
                count += len(page)
                if count > self._rows_max:
                    raise BrokenOff(f"more than {self._rows_max} orders: narrow the query")
                if page:
                    yield order_csv.rows(view(order, in_clear=in_clear) for order in page)
                    last = page[-1].placed_at, UUID(page[-1].id)
                    asked = msgspec.structs.replace(asked, after=last)
                is_whole = len(page) < _PAGE_ROWS
        except BrokenOff as exc:
            _log.warning("an export was broken off: %s", exc, extra={"rows": count})
            raise
        finally:
            await self._write_end(asked, principal, count, is_whole)

    def _leave(self) -> None:
        self.running -= 1

    async def _wait_for_light(self) -> None:
        for _ in range(max(1, round(self._dark_s / _LOOK_S))):
            if self._overload.darkness(features.ORDER_EXPORT) < 1:
                return
            await asyncio.sleep(_LOOK_S)
        raise BrokenOff("exports stayed dark")

    async def _write_end(
        self, asked: Filter, principal: Principal, count: int, is_whole: bool
    ) -> None:
        detail = f"{count} orders, {'whole' if is_whole else 'broken off'}; {_sight(principal)}"
        try:
            await self._audit.append(_actor(principal), "orders.exported", _told(asked), detail)
        except TidegateError:
            # That it began is written down, and who began it.
            _log.warning("the end of an export could not be written down", extra={"rows": count})


def _actor(principal: Principal) -> str:
    return f"{principal.name} (key {principal.key_id})"


def _sight(principal: Principal) -> str:
    return "in clear" if principal.may("query_pii") else "masked"


def _told(asked: Filter) -> str:
    """Return what a query means in words that may be kept: of a phone only that there was one."""
    told = {
        "channels": "every" if asked.channels is None else ", ".join(asked.channels),
        "order_no": asked.order_no,
        "status": asked.status,
        "placed_from": asked.placed_from and asked.placed_from.isoformat(),
        "placed_to": asked.placed_to and asked.placed_to.isoformat(),
        "phone": asked.phone and "one",
    }
    return "; ".join(f"{name} {value}" for name, value in told.items() if value)
