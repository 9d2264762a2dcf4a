"""/v1/admin/exceptions…: the cases that need a person, for keys with ``operate``."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from gateway.domain import exception_cases
from gateway.domain.errors import Fault
from gateway.domain.exception_cases import CLASSES, Cause, ClassReport, ExceptionClass, Policies
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.exceptions import (
    CaseEntry,
    CaseFilter,
    Change,
    ExceptionCase,
    Exceptions,
    NotFound,
)
from gateway.web import json_body
from gateway.web.handlers import operators
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

T = TypeVar("T")

LIMIT_MAX = 500
DAYS_MAX = 366
_BYTES_MAX = 16 * 1024
_MESSAGE_CHARS_MAX = 2000
LIST_PARAMETERS = frozenset(
    {"is_open", "kind", "owner", "order_no", "is_overdue", "after", "limit"}
)

Message = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=_MESSAGE_CHARS_MAX,
        description="For the journal of the exception. Stored sealed.",
    ),
]


class CaseOpening(Struct, frozen=True, forbid_unknown_fields=True):
    """An exception of an order that a person opens, by the order's number or id."""

    order: Annotated[str, Meta(min_length=1, max_length=64)]
    kind: ExceptionClass
    message: Message
    channel: str | None = None


class CaseChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done to an exception: ``owner`` of ``assigned``, ``due_at`` of ``deadline``."""

    entry: Literal["assigned", "deadline", "commented", "resolved", "reopened"]
    message: Annotated[str, Meta(max_length=_MESSAGE_CHARS_MAX)] = ""
    owner: Annotated[str, Meta(max_length=64)] = ""
    due_at: datetime | None = None


class CasePage(Struct, frozen=True):
    """Exceptions, the most urgent first. ``next_after`` is for the next page; null on the last."""

    exceptions: list[ExceptionCase]
    next_after: UUID | None


class CaseShown(Struct, frozen=True):
    """An exception with its journal, oldest first."""

    exception: ExceptionCase
    entries: list[CaseEntry]


class Report(Struct, frozen=True):
    """The exceptions of each class that has any."""

    classes: list[ClassReport]


_encode = msgspec.json.Encoder().encode


class ExceptionHandler:
    """Handles requests about exceptions. Every change is stored with its audit row."""

    def __init__(
        self,
        *,
        store: Exceptions,
        policies: Policies,
        clock: Clock,
        new_id: Callable[[], UUID],
        limits: Live[Limits],
    ) -> None:
        self._store = store
        self._policies = policies
        self._clock = clock
        self._new_id = new_id
        self._limits = limits

    async def list_cases(self, request: Request) -> Response:
        """Answer with a page of exceptions."""
        faults: list[Fault] = []
        values = request.query(LIST_PARAMETERS, faults)
        limit = operators.count(values.get("limit", "50"), LIMIT_MAX, "limit", faults)
        wanted = CaseFilter(
            is_open=_word(values, "is_open", {"true": True, "false": False, "any": None}, faults),
            kind=_one_of(values, "kind", faults),
            owner=values.get("owner"),
            order_no=values.get("order_no"),
            due_before=(
                self._clock.now()
                if _word(values, "is_overdue", {"false": False, "true": True}, faults)
                else None
            ),
            after=_uuid(values.get("after"), faults),
            limit=limit,
        )
        if faults:
            raise Answered(problem("invalid", faults=faults))
        cases = await self._store.page(wanted)
        after = cases[-1].id if len(cases) == limit else None
        return Response(200, _encode(CasePage(cases, after)))

    async def show_case(self, request: Request) -> Response:
        """Answer with an exception and its journal."""
        try:
            case, entries = await self._store.case(_id(request))
        except NotFound as exc:
            raise Answered(problem("not-found", str(exc))) from None
        return Response(200, _encode(CaseShown(case, entries)))

    async def open_case(self, request: Request) -> Response:
        """Open an exception of an order; one of this class that a person opened is used again."""
        wanted = await self._body(request, CaseOpening)
        _check_text("message", wanted.message)
        try:
            order_id, order_no, channel = await self._store.order(
                wanted.order, channel=wanted.channel
            )
        except NotFound as exc:
            raise Answered(problem("invalid", faults=[Fault("order", str(exc))])) from None
        cause = Cause(
            "person", f"{order_id}:{wanted.kind}", wanted.kind, "", order_id, order_no, channel
        )
        case = exception_cases.open_case(
            cause,
            wanted.kind,
            id_=self._new_id(),
            now=self._clock.now(),
            policies=self._policies,
        )
        await self._store.open([case], actor=operators.actor(request), message=wanted.message)
        return Response(200, _encode(await self._store.of_cause("person", cause.key)))

    async def change_case(self, request: Request) -> Response:
        """Assign, date, comment, resolve or reopen an exception; answer with it as it is then."""
        wanted = await self._body(request, CaseChange)
        if wanted.message or wanted.entry in ("commented", "resolved", "reopened"):
            _check_text("message", wanted.message)
        if wanted.owner and not wanted.owner.isprintable():
            raise _invalid("owner", "must have printable characters only")
        if wanted.entry == "deadline" and (wanted.due_at is None or wanted.due_at.tzinfo is None):
            raise _invalid("due_at", "must be an RFC 3339 time with a time zone")
        change = Change(
            wanted.entry, operators.actor(request), wanted.message, wanted.owner, wanted.due_at
        )
        try:
            case = await self._store.change(_id(request), change, now=self._clock.now())
        except NotFound as exc:
            raise Answered(problem("not-found", str(exc))) from None
        return Response(200, _encode(case))

    async def report(self, request: Request) -> Response:
        """Answer with counts, ages and relapses of each class."""
        faults: list[Fault] = []
        values = request.query(frozenset({"days"}), faults)
        days = operators.count(values.get("days", "7"), DAYS_MAX, "days", faults)
        if faults:
            raise Answered(problem("invalid", faults=faults))
        now = self._clock.now()
        since = now - timedelta(days=days)
        rows = exception_cases.report(await self._store.times(since), since=since, now=now)
        return Response(200, _encode(Report(rows)))

    async def _body(self, request: Request, type_: type[T]) -> T:
        require_json(request)
        body = await read_body(request, bytes_max=_BYTES_MAX, body_s=self._limits.now.body_s)
        return json_body.decode(msgspec.json.Decoder(type_).decode, body, type_)


def _invalid(field: str, reason: str) -> Answered:
    return Answered(problem("invalid", faults=[Fault(field, reason)]))


def _check_text(field: str, text: str) -> None:
    if not text.strip() or not text.replace("\n", " ").isprintable():
        raise _invalid(field, "must have printable characters, and not blanks alone")


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_values[0])
    except ValueError:
        raise Answered(problem("not-found", "the id of an exception is a UUID")) from None


def _uuid(text: str | None, faults: list[Fault]) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        faults.append(Fault("after", "must be the id of an exception"))
        return None


def _one_of(values: dict[str, str], name: str, faults: list[Fault]) -> str | None:
    word = values.get(name)
    if word is not None and word not in CLASSES:
        faults.append(Fault(name, f"must be one of {', '.join(CLASSES)}"))
    return word


def _word(values: dict[str, str], name: str, known: dict[str, T], faults: list[Fault]) -> T:
    """Return the meaning of a word; without one, that of the first."""
    first = next(iter(known))
    word = values.get(name, first)
    if word not in known:
        faults.append(Fault(name, f"must be one of {', '.join(known)}"))
        word = first
    return known[word]
