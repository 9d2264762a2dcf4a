"""/v1/admin/deliveries…: what targets must still be told, dead letters, attempts, targets."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.domain import dead_letters
from gateway.domain.dead_letters import (
    Filter,
    ListedDelivery,
    Place,
    ReplayedDeliveries,
    State,
    TargetState,
)
from gateway.domain.errors import Fault
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.deliveries import AttemptRow
from gateway.stores.postgres.delivery_desk import LIMIT_MAX, DeliveryDesk
from gateway.web import json_body
from gateway.web.handlers import operators
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

T = TypeVar("T")

_BYTES_MAX = 64 * 1024
_FILTER = frozenset({"state", "target", "topic", "reason", "order", "older_h", "newer_h"})
REPLAYS_MAX = 1000

Text = Annotated[str, Meta(min_length=1, max_length=500)]


class DeliveryPage(Struct, frozen=True):
    """Deliveries, the oldest first. ``next_after`` is for the next page; null on the last."""

    deliveries: list[ListedDelivery]
    next_after: str | None


class AttemptList(Struct, frozen=True):
    """The attempts to tell of an order, the latest first."""

    attempts: list[AttemptRow]


class TargetList(Struct, frozen=True):
    """Every target that a worker has seen in its settings."""

    targets: list[TargetState]


class DeliveryReplay(Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to replay, the oldest first; null does not narrow.

    ``order``: number or id; ``is_all``: without any filter, every dead letter is meant;
    ``is_dry``: say how many there are, and write nothing.
    """

    target: str | None = None
    topic: str | None = None
    reason: str | None = None
    order: str | None = None
    is_all: bool = False
    is_dry: bool = False
    limit: Annotated[int, Meta(ge=1, le=REPLAYS_MAX)] = REPLAYS_MAX


class TargetChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a target is enabled or disabled."""

    reason: Text


class TargetChanged(Struct, frozen=True):
    """The target as it is now; ``was_other``: it was the other way before."""

    target: str
    is_enabled: bool
    was_other: bool


_encode = msgspec.json.Encoder().encode


class DeliveryHandler:
    """Handles requests about deliveries. Every change is stored with its audit row."""

    def __init__(self, *, desk: DeliveryDesk, clock: Clock, limits: Live[Limits]) -> None:
        self._desk = desk
        self._clock = clock
        self._limits = limits

    async def list_deliveries(self, request: Request) -> Response:
        """Answer with a page of deliveries: dead letters, unless something else is asked for."""
        faults: list[Fault] = []
        values = request.query(_FILTER | {"after", "limit"}, faults)
        limit = operators.count(values.get("limit", "50"), LIMIT_MAX, "limit", faults)
        place = _place(values.get("after"), faults)
        of = await self._filter(values, faults)
        rows = await self._desk.page(of, after=place, limit=limit)
        following = dead_letters.place_of(rows[-1]) if len(rows) == limit else None
        return Response(200, _encode(DeliveryPage(rows, following)))

    async def list_attempts(self, request: Request) -> Response:
        """Answer with the attempts to tell of an order."""
        faults: list[Fault] = []
        values = request.query(frozenset({"order", "limit"}), faults)
        limit = operators.count(values.get("limit", "100"), LIMIT_MAX, "limit", faults)
        named = values.get("order")
        if not named:
            faults.append(Fault("order", "is missing: the number or the id of an order"))
        if faults:
            raise Answered(problem("invalid", faults=faults))
        rows = await self._desk.attempts(await self._desk.orders(named or ""), limit=limit)
        return Response(200, _encode(AttemptList(rows)))

    async def replay(self, request: Request) -> Response:
        """Make dead letters due again; answer with how many of each target."""
        wanted = await self._body(request, DeliveryReplay)
        narrowed = (wanted.target, wanted.topic, wanted.reason, wanted.order)
        if all(each is None for each in narrowed) and not (wanted.is_all or wanted.is_dry):
            fault = Fault("is_all", "must be true to replay every dead letter; or give a filter")
            raise Answered(problem("invalid", faults=[fault]))
        orders = None if wanted.order is None else tuple(await self._desk.orders(wanted.order))
        of = Filter(target=wanted.target, topic=wanted.topic, reason=wanted.reason, orders=orders)
        done: ReplayedDeliveries
        if wanted.is_dry:
            done = await self._desk.preview(of)
        else:
            done = await self._desk.replay(of, actor=operators.actor(request), limit=wanted.limit)
        return Response(200, _encode(done))

    async def list_targets(self, request: Request) -> Response:
        """Answer with every target."""
        return Response(200, _encode(TargetList(await self._desk.targets())))

    async def disable(self, request: Request) -> Response:
        """Hand nothing on to a target."""
        return await self._switch(request, is_on=False)

    async def enable(self, request: Request) -> Response:
        """Hand on to a target again."""
        return await self._switch(request, is_on=True)

    async def _switch(self, request: Request, *, is_on: bool) -> Response:
        because = (await self._body(request, TargetChange)).reason
        if not because.strip() or not because.isprintable():
            fault = Fault("reason", "must have printable characters, and not blanks alone")
            raise Answered(problem("invalid", faults=[fault]))
        name = request.path_values[0]
        if name not in {each.name for each in await self._desk.targets()}:
            raise Answered(problem("not-found", "no worker has seen a target of this name"))
        change = self._desk.enable if is_on else self._desk.disable
        is_new = await change(name, actor=operators.actor(request), reason=because)
        return Response(200, _encode(TargetChanged(name, is_on, is_new)))

    async def _filter(self, values: dict[str, str], faults: list[Fault]) -> Filter:
        now = self._clock.now()
        state = _state(values.get("state", "dead"), faults)
        before = operators.ago(values.get("older_h"), now, "older_h", faults)
        after = operators.ago(values.get("newer_h"), now, "newer_h", faults)
        if faults:
            raise Answered(problem("invalid", faults=faults))
        named = values.get("order")
        return Filter(
            state=state,
            target=values.get("target"),
            topic=values.get("topic"),
            reason=values.get("reason"),
            orders=None if named is None else tuple(await self._desk.orders(named)),
            before=before,
            after=after,
        )

    async def _body(self, request: Request, type_: type[T]) -> T:
        require_json(request)
        body = await read_body(request, bytes_max=_BYTES_MAX, body_s=self._limits.now.body_s)
        return json_body.decode(msgspec.json.Decoder(type_).decode, body, type_)


def _place(text: str | None, faults: list[Fault]) -> Place | None:
    try:
        return None if text is None else dead_letters.read_place(text)
    except ValueError as exc:
        faults.append(Fault("after", str(exc)))
        return None


def _state(word: str, faults: list[Fault]) -> State:
    for known in dead_letters.STATES:
        if known == word:
            return known
    faults.append(Fault("state", f"must be one of {', '.join(dead_letters.STATES)}"))
    return "dead"
