"""/v1/admin/…: overrides and plans, on a listener of their own, for keys with ``operate``."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from gateway.domain import overrides, plans
from gateway.domain.errors import Fault
from gateway.domain.overrides import Action, Override, OverrideRequest
from gateway.domain.plans import Plan, Step
from gateway.overload import snapshot
from gateway.overload.admission import Admission
from gateway.overload.overrides import Overrides
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.overrides import OverrideStore, PlannedStep
from gateway.web import json_body
from gateway.web.handlers import operators
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

_BYTES_MAX = 64 * 1024

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class OverrideBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The override to set. ``shed`` rejects, ``admit`` accepts whatever the load, for ``for_s``."""

    action: Action = field(name="mode")
    reason: str
    for_s: Annotated[float, Meta(ge=1, le=overrides.DURATION_S_MAX)] = overrides.DEFAULT_S


class OverrideList(Struct, frozen=True):
    """The overrides that are active, and those that are pending approval."""

    overrides: list[Override] = field(name="modes")


class OverrideResult(Struct, frozen=True):
    """The override is active or, with ``is_asked``, pending approval for 10 minutes."""

    target: str
    is_pending: bool = field(name="is_asked")


class ClearResult(Struct, frozen=True):
    """The target has no override now; ``was_set``: it had one before."""

    target: str
    was_set: bool


class PlanBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The steps of a plan. They replace those it had."""

    steps: list[Step]


class PlanList(Struct, frozen=True):
    """The steps of all plans, including those that ended within the last week."""

    steps: list[PlannedStep]


class PlanResult(Struct, frozen=True):
    """The plan is set or dropped; ``was_there``: a plan of this name existed before."""

    name: str
    was_there: bool


class AdminHandler:
    """Handles requests of operators. Every change is stored with its audit row."""

    def __init__(
        self,
        *,
        override_store: OverrideStore,
        active_overrides: Overrides,
        admission: Admission,
        clock: Clock,
        limits: Live[Limits],
    ) -> None:
        self._store = override_store
        self._active = active_overrides
        self._admission = admission
        self._clock = clock
        self._limits = limits

    async def show_load(self, request: Request) -> Response:
        """Answer with the load, tiers and overrides of this process."""
        return Response(200, _encode(snapshot.process_load(self._admission, self._active)))

    async def list_overrides(self, request: Request) -> Response:
        """Answer with all overrides."""
        return Response(200, _encode(OverrideList(await self._store.every())))

    async def set_override(self, request: Request) -> Response:
        """Set an override, or store it as pending where a second person must approve."""
        body = await self._body(request, OverrideBody)
        target = _target(request)
        wanted = OverrideRequest(
            target, body.action, body.for_s, body.reason, operators.actor(request)
        )
        try:
            is_active = await self._store.set(wanted)
        except overrides.InvalidOverride as exc:
            raise Answered(problem("invalid", faults=[Fault(exc.field, exc.reason)])) from None
        await self._active.refresh()
        return Response(200, _encode(OverrideResult(target, not is_active)))

    async def approve(self, request: Request) -> Response:
        """Activate the pending override of another person."""
        target = _target(request)
        try:
            approved = await self._store.approve(target, actor=operators.actor(request))
        except overrides.InvalidOverride as exc:
            raise Answered(problem("forbidden", str(exc))) from None
        if approved is None:
            raise Answered(problem("not-found", f"no override of {target} is pending approval"))
        await self._active.refresh()
        return Response(200, _encode(OverrideResult(target, False)))

    async def clear_override(self, request: Request) -> Response:
        """Remove the override of a target."""
        target = _target(request)
        was_set = await self._store.clear(target, actor=operators.actor(request))
        await self._active.refresh()
        return Response(200, _encode(ClearResult(target, was_set)))

    async def list_plans(self, request: Request) -> Response:
        """Answer with all plans."""
        return Response(200, _encode(PlanList(await self._store.planned())))

    async def set_plan(self, request: Request) -> Response:
        """Store a plan. It replaces the one of its name."""
        body = await self._body(request, PlanBody)
        plan = Plan(name=request.path_values[0], steps=body.steps)
        try:
            plans.check(plan, self._clock.now())
            was_there = await self._store.set_plan(plan, actor=operators.actor(request))
        except overrides.InvalidOverride as exc:
            raise Answered(problem("invalid", faults=[Fault(exc.field, exc.reason)])) from None
        await self._active.refresh()
        return Response(200, _encode(PlanResult(plan.name, was_there)))

    async def drop_plan(self, request: Request) -> Response:
        """Drop a plan and end the overrides of its steps that have begun."""
        name = request.path_values[0]
        if not await self._store.drop_plan(name, actor=operators.actor(request)):
            raise Answered(problem("not-found", "no plan has this name"))
        await self._active.refresh()
        return Response(200, _encode(PlanResult(name, True)))

    async def _body(self, request: Request, type_: type[T]) -> T:
        require_json(request)
        body_s = self._limits.now.body_s
        body = await read_body(request, bytes_max=_BYTES_MAX, body_s=body_s)
        return json_body.decode(msgspec.json.Decoder(type_).decode, body, type_)


def _target(request: Request) -> str:
    target = request.path_values[0]
    if target not in overrides.targets():
        detail = f"targets are {', '.join(overrides.targets())}"
        raise Answered(problem("not-found", detail))
    return target
