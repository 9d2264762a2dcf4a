"""/v1/admin/…: what operators see and say. Its own listener; every route asks for ``operate``."""

from importlib.metadata import version
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.domain import modes
from gateway.domain.errors import Fault
from gateway.domain.modes import Mode, Order, Word
from gateway.intake import state
from gateway.intake.modes import Modes
from gateway.intake.overload import Overload
from gateway.intake.quotas import Quotas
from gateway.stores.postgres.keys import ApiKeys
from gateway.stores.postgres.switches import Switches
from gateway.web import bodies, openapi
from gateway.web.doorman import Doorman
from gateway.web.gate import Gate
from gateway.web.problems import Answered, problem
from gateway.web.replies import Reply
from gateway.web.requests import Request, fault
from gateway.web.routing import Answer, Route, Router
from gateway.web.server import Server
from gateway.wiring import Gateway

_BYTES_MAX = 4096
_CONNECTIONS_MAX = 50
_AUTH = ("unauthorised", "forbidden")

_encode = msgspec.json.Encoder().encode


class ModeOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """``shed``: refuse it. ``admit``: take it whatever the load. For so long, and why."""

    mode: Word
    reason: str
    for_s: Annotated[float, Meta(ge=1, le=modes.LONGEST_S)] = modes.DEFAULT_S


class ModeList(Struct, frozen=True):
    """The modes that stand, and those that wait for a second person."""

    modes: list[Mode]


class Said(Struct, frozen=True):
    """What became of it. ``is_asked``: it waits for a second person to agree, within 10 minutes."""

    target: str
    is_asked: bool


class Cleared(Struct, frozen=True):
    """The target is left to the load; ``was_set``: something had been said of it."""

    target: str
    was_set: bool


class Operations:
    """Handles what operators ask."""

    def __init__(
        self, *, switches: Switches, modes: Modes, overload: Overload, body_s: float
    ) -> None:
        self._switches = switches
        self._modes = modes
        self._overload = overload
        self._body_s = body_s

    async def load(self, request: Request) -> Reply:
        """Answer with how this process stands."""
        return Reply(200, _encode(state.of(self._overload, self._modes)))

    async def every(self, request: Request) -> Reply:
        """Answer with all modes."""
        return Reply(200, _encode(ModeList(await self._switches.every())))

    async def set(self, request: Request) -> Reply:
        """Set a mode, or ask for it where a second person must agree."""
        body = await bodies.read(request, bytes_max=_BYTES_MAX, body_s=self._body_s)
        try:
            wanted = msgspec.json.decode(body, type=ModeOrder)
        except msgspec.ValidationError as exc:
            raise Answered(problem("invalid", faults=[fault(exc)])) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Answered(problem("malformed", "the body is not JSON")) from None
        target = _target(request)
        order = Order(target, wanted.mode, wanted.for_s, wanted.reason, _actor(request))
        try:
            stands = await self._switches.set(order)
        except modes.Wrong as exc:
            raise Answered(problem("invalid", faults=[Fault(exc.field, exc.reason)])) from None
        await self._modes.look()
        return Reply(200, _encode(Said(target, not stands)))

    async def agree(self, request: Request) -> Reply:
        """Set what another person asked for."""
        target = _target(request)
        try:
            order = await self._switches.agree(target, actor=_actor(request))
        except modes.Wrong as exc:
            raise Answered(problem("forbidden", str(exc))) from None
        if order is None:
            raise Answered(problem("not-found", f"nothing is asked for {target}, or no longer"))
        await self._modes.look()
        return Reply(200, _encode(Said(target, False)))

    async def clear(self, request: Request) -> Reply:
        """Leave a target to the load again."""
        target = _target(request)
        was_set = await self._switches.clear(target, actor=_actor(request))
        await self._modes.look()
        return Reply(200, _encode(Cleared(target, was_set)))


def _actor(request: Request) -> str:
    principal = request.principal
    assert principal is not None, "the route requires a role"
    return f"{principal.name} (key {principal.key_id})"


def _target(request: Request) -> str:
    target = request.path_values[0]
    if target not in modes.targets():
        detail = f"there are modes of {', '.join(modes.targets())}"
        raise Answered(problem("not-found", detail))
    return target


def routes(operations: Operations) -> list[Route]:
    """Return the table of the operators' routes."""
    one = "/v1/admin/modes/{target}"
    return [
        Route(
            method="GET",
            template="/v1/admin/load",
            name="admin.load",
            handler=operations.load,
            role="operate",
            summary="See the load of the process that answers",
            answers=[Answer(200, "Its load, tiers and modes.", state.State)],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/modes",
            name="admin.modes",
            handler=operations.every,
            role="operate",
            summary="List the modes that stand or are asked for",
            answers=[Answer(200, "All modes.", ModeList)],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="PUT",
            template=one,
            name="admin.modes.set",
            handler=operations.set,
            role="operate",
            summary="Refuse or take a feature or a tier whatever the load, for a while",
            body=ModeOrder,
            answers=[Answer(200, "It stands, with its audit row, or waits for agreement.", Said)],
            problems=[
                "malformed", *_AUTH, "not-found", "slow-body", "too-large",
                "unsupported-media-type", "invalid", "unavailable",
            ],
        ),
        Route(
            method="POST",
            template=f"{one}/agreement",
            name="admin.modes.agree",
            handler=operations.agree,
            role="operate",
            summary="Agree, as a second person, to what was asked for",
            answers=[Answer(200, "It stands, with its audit row.", Said)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
        Route(
            method="DELETE",
            template=one,
            name="admin.modes.clear",
            handler=operations.clear,
            role="operate",
            summary="Leave a feature or a tier to the load again",
            answers=[Answer(200, "It is left to the load, with its audit row.", Cleared)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
    ]  # fmt: skip


def build(gateway: Gateway) -> Server:
    """Return the operators' server over the parts of a process."""
    settings = gateway.settings

    async def document(request: Request) -> Reply:
        return Reply(200, described)

    table = [
        *routes(
            Operations(
                switches=gateway.switches,
                modes=gateway.modes,
                overload=gateway.overload,
                body_s=settings.body_s,
            )
        ),
        Route(
            method="GET",
            template="/openapi.json",
            name="admin.openapi",
            handler=document,
            role=None,
            summary="This document",
            answers=[Answer(200, "OpenAPI 3.1.", {"type": "object"})],
        ),
    ]
    described = openapi.document(table, version=version("tidegate"))
    return Server(
        router=Router(table),
        doorman=Doorman(
            keys=ApiKeys(pool=gateway.stores.primary_reads, replicas=gateway.stores.replicas),
            clock=gateway.clock,
            ttl_s=settings.api_key_ttl_s,
        ),
        gate=Gate(overload=gateway.overload, routes=table, later={}),
        quotas=Quotas(rate=0.0, burst=1),
        clock=gateway.clock,
        connections_max=_CONNECTIONS_MAX,
        keepalive_s=settings.keepalive_s,
        write_s=settings.body_s,
    )
