"""/v1/admin/callbacks…: callbacks that were rejected, and why. They are never replayed."""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.domain import masking
from gateway.domain.errors import Fault
from gateway.stores.postgres.rejected_callbacks import Listed, RejectedCallbacks, Unopened
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response

LIMIT_MAX = 1000
_FILTER = frozenset({"provider", "account", "reason", "limit"})


class RejectedList(Struct, frozen=True):
    """Rejected callbacks, the newest first, and how many are stored for each reason."""

    callbacks: list[Listed]
    counts: dict[str, int]


class HeaderShown(Struct, frozen=True):
    """A header, its value masked."""

    name: str
    value: str


class RejectedShown(Struct, frozen=True):
    """A rejected callback with its message masked; ``fault``: why it cannot be opened."""

    callback: Listed
    headers: list[HeaderShown]
    body: Any
    fault: str


_encode = msgspec.json.Encoder().encode


class RejectedCallbackHandler:
    """Handles requests about rejected callbacks."""

    def __init__(self, *, store: RejectedCallbacks) -> None:
        self._store = store

    async def list_callbacks(self, request: Request) -> Response:
        """Answer with the newest ones."""
        faults: list[Fault] = []
        values = request.query(_FILTER, faults)
        limit = values.pop("limit", "50")
        is_number = limit.isascii() and limit.isdigit() and len(limit) <= 4
        if not is_number or not 1 <= int(limit) <= LIMIT_MAX:
            faults.append(Fault("limit", f"must be a whole number from 1 to {LIMIT_MAX}"))
        if faults:
            raise Answered(problem("invalid", faults=faults))
        of = {name: values.get(name) for name in ("provider", "account", "reason")}
        rows = await self._store.newest(**of, limit=int(limit))
        return Response(200, _encode(RejectedList(rows, await self._store.counts(**of))))

    async def show_callback(self, request: Request) -> Response:
        """Answer with one, masked; the audit log has who looked."""
        principal = request.principal
        assert principal is not None, "the route requires a role"
        try:
            id_ = UUID(request.path_values[0])
        except ValueError:
            raise _missing() from None
        actor = f"{principal.name} (key {principal.key_id})"
        found = await self._store.open(id_, actor=actor)
        if found is None:
            raise _missing()
        if isinstance(found, Unopened):
            return Response(200, _encode(RejectedShown(found.listed, [], None, found.reason)))
        listed = Listed(
            found.id, found.provider, found.account, found.reason, found.hint, found.received_at,
            len(found.body),
        )  # fmt: skip
        headers = [HeaderShown(*each) for each in masking.masked_headers(found.headers)]
        body = masking.masked(found.body)
        return Response(200, _encode(RejectedShown(listed, headers, body, "")))


def _missing() -> Answered:
    return Answered(problem("not-found", "no rejected callback of this id is stored"))
