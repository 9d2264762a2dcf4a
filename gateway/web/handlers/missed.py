"""/v1/admin/missed: orders that no target has accepted in time, listed and pushed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, get_args
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from gateway.domain import missed_csv
from gateway.domain.errors import Fault
from gateway.domain.missed import AcceptingTarget, MissedOrder, Place, Standing
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.missed_orders import PUSH_MAX, MissedOrders, Wanted
from gateway.web import json_body
from gateway.web.handlers import operators
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

LIMIT_MAX = 1000
STANDINGS: tuple[Standing, ...] = get_args(Standing)
CSV = "text/csv; charset=utf-8; header=present"

_BYTES_MAX = 64 * 1024
_PARAMETERS = frozenset({"target", "channel", "limit", "after", "format"})

Name = Annotated[str, Meta(min_length=1, max_length=32)]


class MissedRow(MissedOrder, frozen=True):
    """A missed order. ``age_s``: how long it has been waiting for the target's word."""

    age_s: int = 0


class MissedPage(Struct, frozen=True):
    """Missed orders, those that wait longest first.

    ``next_after`` is for the next page; null on the last.
    """

    orders: list[MissedRow]
    next_after: str | None


class PushBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which missed orders to push: these, or all that the filters leave."""

    orders: Annotated[list[UUID], Meta(max_length=PUSH_MAX)] = []
    all: bool = False
    target: Name | None = None
    channel: Name | None = None
    #: Say what would be pushed, and push nothing.
    is_dry: bool = False


class PushedOrder(Struct, frozen=True):
    """A missed order, and whether it is due now.

    Not: the target is disabled, or a worker attempts it at this moment.
    """

    order_id: UUID
    order_no: str
    channel: str
    target: str
    event_id: UUID
    is_pushed: bool
    is_disabled: bool


class PushResult(Struct, frozen=True):
    """What was pushed. ``is_more``: one request pushes a thousand; send it again for the rest."""

    orders: list[PushedOrder]
    is_more: bool


_encode = msgspec.json.Encoder().encode
_decode_push = msgspec.json.Decoder(PushBody).decode


class MissedHandler:
    """Handles requests about missed orders. Every push is stored with its audit row."""

    def __init__(
        self,
        *,
        store: MissedOrders,
        targets: Sequence[AcceptingTarget],
        clock: Clock,
        limits: Live[Limits],
    ) -> None:
        self._store = store
        self._targets = targets
        self._clock = clock
        self._limits = limits

    async def list_orders(self, request: Request) -> Response:
        """Answer with a page, as JSON or as CSV."""
        faults: list[Fault] = []
        values = request.query(_PARAMETERS, faults)
        limit = _limit(values.get("limit", "100"), faults)
        after = _place(values.get("after"), faults)
        format_ = values.get("format", "json")
        if format_ not in ("json", "csv"):
            faults.append(Fault("format", "must be json or csv"))
        targets = self._chosen(values.get("target"), faults)
        if faults:
            raise Answered(problem("invalid", faults=faults))
        now = self._clock.now()
        wanted = Wanted(
            channels=_channels(request, values.get("channel")), after=after, limit=limit
        )
        found = await self._store.page(targets, wanted, now)
        if format_ == "csv":
            text = missed_csv.head() + missed_csv.rows(found, now)
            return Response(200, text.encode(), CSV)
        rows = [_row(each, now) for each in found]
        last = Place.of(found[-1]).text() if len(found) == limit else None
        return Response(200, _encode(MissedPage(rows, last)))

    async def push(self, request: Request) -> Response:
        """Push what is missed of the orders that are named, or all."""
        require_json(request)
        body_s = self._limits.now.body_s
        body = await read_body(request, bytes_max=_BYTES_MAX, body_s=body_s)
        asked = json_body.decode(_decode_push, body, PushBody)
        faults: list[Fault] = []
        if asked.all == bool(asked.orders):
            faults.append(Fault("orders", "name orders, or set all to true"))
        targets = self._chosen(asked.target, faults)
        if faults:
            raise Answered(problem("invalid", faults=faults))
        wanted = Wanted(
            channels=_channels(request, asked.channel),
            orders=asked.orders or None,
            is_pushable=True,
            limit=PUSH_MAX + 1,
        )
        found = await self._store.page(targets, wanted, self._clock.now())
        chosen, pushed = found[:PUSH_MAX], set[tuple[UUID, str]]()
        if not asked.is_dry:
            pushed.update(await self._store.push(chosen, actor=operators.actor(request)))
        shown = [
            PushedOrder(
                order_id=each.order_id,
                order_no=each.order_no,
                channel=each.channel,
                target=each.target,
                event_id=each.event_id,
                is_pushed=(each.order_id, each.target) in pushed,
                is_disabled=each.is_disabled,
            )
            for each in chosen
        ]
        return Response(200, _encode(PushResult(shown, len(found) > PUSH_MAX)))

    def _chosen(self, target: str | None, faults: list[Fault]) -> list[AcceptingTarget]:
        chosen = [each for each in self._targets if target in (None, each.name)]
        if target is not None and not chosen:
            known = ", ".join(each.name for each in self._targets) or "none"
            faults.append(Fault("target", f"accepts no orders; those that do: {known}"))
        return chosen


def _row(each: MissedOrder, now: datetime) -> MissedRow:
    return MissedRow(**msgspec.structs.asdict(each), age_s=round(each.waited_s(now)))


def _channels(request: Request, channel: str | None) -> Sequence[str] | None:
    principal = request.principal
    assert principal is not None, "the route requires a role"
    if channel is None:
        return principal.visible()
    return [channel] if principal.may_use(channel) else []


def _limit(text: str, faults: list[Fault]) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= LIMIT_MAX:
        return int(text)
    faults.append(Fault("limit", f"must be a whole number from 1 to {LIMIT_MAX}"))
    return 1


def _place(text: str | None, faults: list[Fault]) -> Place | None:
    try:
        return None if text is None else Place.read(text)
    except ValueError:
        faults.append(Fault("after", "must be `next_after` of the previous page"))
        return None
