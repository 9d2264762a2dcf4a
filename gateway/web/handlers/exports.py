"""GET /v1/orders/export: all orders of a query as CSV, read and sent page by page."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import datetime

import msgspec

from gateway.domain import features, order_csv
from gateway.domain.access import Principal
from gateway.domain.errors import Fault, TidegateError
from gateway.domain.order_details import detail
from gateway.overload.admission import Admission
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.audit import AuditLog
from gateway.stores.postgres.order_reader import Filter, OrderReader
from gateway.web.handlers.order_filter import LIST_PARAMETERS, last_of, parse_filter
from gateway.web.handlers.queries import principal_of
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import StreamedResponse

_log = logging.getLogger(__name__)

#: The parameters of a list without those for paging and following.
EXPORT_PARAMETERS = LIST_PARAMETERS - {"limit", "cursor", "updated_since"} | {"bom"}
_PAGE_ROWS = 200
#: Seconds between two checks whether exports are admitted again.
_POLL_S = 0.5
#: The parameters of fields that are named otherwise.
_WORDS = {"phones": "phone", "holds": "hold"}
_BOM = b"\xef\xbb\xbf"


class ExportAborted(Exception):
    """Aborts an export and its connection, so that no client takes a part for the whole."""


class ExportHandler:
    """Handles exports: at most ``exports_max`` at once, each audited before and after."""

    def __init__(
        self,
        *,
        reader: OrderReader,
        audit: AuditLog,
        admission: Admission,
        limits: Live[Limits],
        clock: Clock,
        shed_wait_s: float = 60.0,
    ) -> None:
        """``shed_wait_s``: how long an export waits while exports are shed before it is aborted."""
        self._reader = reader
        self._audit = audit
        self._admission = admission
        self._limits = limits
        self._clock = clock
        self._shed_wait_s = shed_wait_s
        self.running = 0

    async def export(self, request: Request) -> StreamedResponse:
        """Answer with all orders of the query, once the audit log has who exports what."""
        principal = principal_of(request)
        faults: list[Fault] = []
        values = request.query(EXPORT_PARAMETERS, faults)
        bom = values.pop("bom", "false")
        if bom not in ("true", "false"):
            faults.append(Fault("bom", "must be true or false"))
        query = msgspec.structs.replace(
            parse_filter(values, principal, faults, now=self._clock.now()), limit=_PAGE_ROWS
        )
        if self.running >= self._limits.now.exports_max:
            detail = "the maximum number of concurrent exports is running"
            raise Answered(problem("unavailable", detail, head="Retry-After: 30\r\n"))
        self.running += 1
        try:
            request.leave_slot()
            await self._audit.append(
                _actor(principal), "orders.export", _describe(query), _visibility(principal)
            )
        except BaseException:
            self.running -= 1
            raise
        name = f"orders-{self._clock.now():%Y%m%dT%H%M%SZ}.csv"
        return StreamedResponse(
            200,
            self._pieces(query, principal, _BOM if bom == "true" else b""),
            "text/csv; charset=utf-8; header=present",
            self._leave,
            f'Content-Disposition: attachment; filename="{name}"\r\nCache-Control: no-store\r\n',
        )

    async def _pieces(
        self, query: Filter, principal: Principal, bom: bytes
    ) -> AsyncGenerator[bytes, None]:
        count, is_complete = 0, False
        rows_max = self._limits.now.export_rows_max
        in_clear = principal.may("query_pii")
        try:
            yield bom + order_csv.head()
            while not is_complete:
                await self._wait_until_admitted()
                page = (await self._reader.page(query)).value
                count += len(page)
                if count > rows_max:
                    raise ExportAborted(f"more than {rows_max} orders: narrow the query")
                if page:
                    yield order_csv.rows(
                        detail(order, details, in_clear=in_clear) for order, details in page
                    )
                    query = msgspec.structs.replace(query, after=last_of(page, query))
                is_complete = len(page) < _PAGE_ROWS
        except ExportAborted as exc:
            _log.warning("an export was aborted: %s", exc, extra={"rows": count})
            raise
        finally:
            await self._audit_end(query, principal, count, is_complete)

    def _leave(self) -> None:
        self.running -= 1

    async def _wait_until_admitted(self) -> None:
        for _ in range(max(1, round(self._shed_wait_s / _POLL_S))):
            if self._admission.rejected_share(features.ORDER_EXPORT) < 1:
                return
            await asyncio.sleep(_POLL_S)
        raise ExportAborted("exports stayed shed")

    async def _audit_end(
        self, query: Filter, principal: Principal, count: int, is_complete: bool
    ) -> None:
        detail = (
            f"{count} orders, {'whole' if is_complete else 'broken off'}; {_visibility(principal)}"
        )
        try:
            await self._audit.append(_actor(principal), "orders.exported", _describe(query), detail)
        except TidegateError:
            # The audit log already has its beginning.
            _log.warning("the end of an export could not be audited", extra={"rows": count})


def _actor(principal: Principal) -> str:
    return f"{principal.name} (key {principal.key_id})"


def _visibility(principal: Principal) -> str:
    return "in clear" if principal.may("query_pii") else "masked"


def _describe(query: Filter) -> str:
    """Return a query as text for the audit log; a phone number is not in it."""
    parts = {name: _told(getattr(query, name)) for name in query.__struct_fields__}
    told = parts | {
        "channels": "every" if query.channels is None else ", ".join(query.channels),
        "phones": query.phones and "one",
        "is_test": "any" if query.is_test is None else str(query.is_test).lower(),
        # How it is read, page by page, says nothing of what.
        "after": "",
        "limit": "",
    }
    return "; ".join(f"{_WORDS.get(name, name)} {value}" for name, value in told.items() if value)


def _told(value: object) -> str:
    """Return a value of a filter as text; empty: it does not narrow."""
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat()
        case bool():
            return str(value).lower()
        case list():
            return "/".join(value)
        case _:
            return str(value)
