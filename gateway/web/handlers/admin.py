"""/v1/admin/…: what operators see and say. Its own listener; every route asks for ``operate``."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.domain import overrides, plans
from gateway.domain.errors import Fault
from gateway.domain.overrides import Action, Override, OverrideRequest
from gateway.domain.plans import Plan, Step
from gateway.overload import snapshot
from gateway.overload.admission import Overload
from gateway.overload.overrides import Overrides
from gateway.runtime.clock import Clock
from gateway.stores.postgres.overrides import OverrideStore, Planned
from gateway.web import request_body
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response

_BYTES_MAX = 64 * 1024

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class OverrideBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``shed``: refuse it. ``admit``: take it whatever the load. For so long, and why."""

    mode: Action
    reason: str
    for_s: Annotated[float, Meta(ge=1, le=overrides.LONGEST_S)] = overrides.DEFAULT_S


class OverrideList(Struct, frozen=True):
    """The modes that stand, and those that wait for a second person."""

    modes: list[Override]


class OverrideResult(Struct, frozen=True):
    """What became of it. ``is_asked``: it waits for a second person to agree, within 10 minutes."""

    target: str
    is_asked: bool


class Cleared(Struct, frozen=True):
    """The target is left to the load; ``was_set``: something had been said of it."""

    target: str
    was_set: bool


class PlanOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """The steps of a plan, in place of those it had."""

    steps: list[Step]


class PlanList(Struct, frozen=True):
    """The steps of all plans, those of the last week too."""

    steps: list[Planned]


class PlanChanged(Struct, frozen=True):
    """The plan is set or dropped; ``was_there``: there was one of its name before."""

    name: str
    was_there: bool


class Operations:
    """Handles what operators ask."""

    def __init__(
        self,
        *,
        switches: OverrideStore,
        modes: Overrides,
        overload: Overload,
        clock: Clock,
        body_s: float,
    ) -> None:
        self._switches = switches
        self._modes = modes
        self._overload = overload
        self._clock = clock
        self._body_s = body_s

    async def load(self, request: Request) -> Response:
        """Answer with how this process stands."""
        return Response(200, _encode(snapshot.of(self._overload, self._modes)))

    async def every(self, request: Request) -> Response:
        """Answer with all modes."""
        return Response(200, _encode(OverrideList(await self._switches.every())))

    async def set(self, request: Request) -> Response:
        """Set a mode, or ask for it where a second person must agree."""
        wanted = await self._body(request, OverrideBody)
        target = _target(request)
        order = OverrideRequest(target, wanted.mode, wanted.for_s, wanted.reason, _actor(request))
        try:
            stands = await self._switches.set(order)
        except overrides.InvalidOverride as exc:
            raise Answered(problem("invalid", faults=[Fault(exc.field, exc.reason)])) from None
        await self._modes.look()
        return Response(200, _encode(OverrideResult(target, not stands)))

    async def agree(self, request: Request) -> Response:
        """Set what another person asked for."""
        target = _target(request)
        try:
            order = await self._switches.agree(target, actor=_actor(request))
        except overrides.InvalidOverride as exc:
            raise Answered(problem("forbidden", str(exc))) from None
        if order is None:
            raise Answered(problem("not-found", f"nothing is asked for {target}, or no longer"))
        await self._modes.look()
        return Response(200, _encode(OverrideResult(target, False)))

    async def clear(self, request: Request) -> Response:
        """Leave a target to the load again."""
        target = _target(request)
        was_set = await self._switches.clear(target, actor=_actor(request))
        await self._modes.look()
        return Response(200, _encode(Cleared(target, was_set)))

    async def every_plan(self, request: Request) -> Response:
        """Answer with all plans."""
        return Response(200, _encode(PlanList(await self._switches.planned())))

    async def plan(self, request: Request) -> Response:
        """Put a plan in place of the one of its name."""
        wanted = await self._body(request, PlanOrder)
        plan = Plan(name=request.path_values[0], steps=wanted.steps)
        try:
            plans.check(plan, self._clock.now())
            was_there = await self._switches.plan(plan, actor=_actor(request))
        except overrides.InvalidOverride as exc:
            raise Answered(problem("invalid", faults=[Fault(exc.field, exc.reason)])) from None
        await self._modes.look()
        return Response(200, _encode(PlanChanged(plan.name, was_there)))

    async def drop_plan(self, request: Request) -> Response:
        """Drop a plan, its steps that have begun too."""
        name = request.path_values[0]
        if not await self._switches.drop_plan(name, actor=_actor(request)):
            raise Answered(problem("not-found", "there is no plan of this name"))
        await self._modes.look()
        return Response(200, _encode(PlanChanged(name, True)))

    async def _body(self, request: Request, type_: type[T]) -> T:
        request_body.require_json(request)
        body = await request_body.read(request, bytes_max=_BYTES_MAX, body_s=self._body_s)
        return request_body.decoded(msgspec.json.Decoder(type_).decode, body)


def _actor(request: Request) -> str:
    principal = request.principal
    assert principal is not None, "the route requires a role"
    return f"{principal.name} (key {principal.key_id})"


def _target(request: Request) -> str:
    target = request.path_values[0]
    if target not in overrides.targets():
        detail = f"there are modes of {', '.join(overrides.targets())}"
        raise Answered(problem("not-found", detail))
    return target
