"""/v1/admin/parked…: what is parked for a person, shown, given to somebody, replayed, closed."""

from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from gateway.domain import parked
from gateway.domain.errors import Fault
from gateway.domain.following import ParkReason
from gateway.domain.parked import Filter, Parked, ReasonCount, State
from gateway.intake import replay_runs
from gateway.intake.replay_runs import ReadAs, ReplayRuns
from gateway.intake.replays import Decoder, Replayed
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.parked import LIMIT_MAX, KeptRow, ParkedRows
from gateway.web import json_body
from gateway.web.handlers import operators
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

T = TypeVar("T")

_BYTES_MAX = 64 * 1024
_FILTER = frozenset({"state", "reason", "account", "order", "assignee", "older_h", "newer_h"})
#: Rows that one request replays; the next one goes on.
REPLAYS_MAX = 500
PER_S_MAX = 1000

_UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

Text = Annotated[str, Meta(min_length=1, max_length=500)]


class ParkedPage(Struct, frozen=True):
    """Parked rows, the oldest first. ``next_after`` is for the next page; null on the last."""

    rows: list[Parked]
    next_after: UUID | None


class ParkedCounts(Struct, frozen=True):
    """How many rows a filter has, by reason."""

    reasons: list[ReasonCount]


class ParkedShown(Struct, frozen=True):
    """A row, what to do about it, and its message masked.

    ``read_as``: what the account reads the message as now; ``fault``: why it reads nothing.
    """

    row: Parked
    meaning: str
    action: str
    is_replayable: bool
    read_as: list[ReadAs]
    fault: str
    message: Any


class ParkedMessage(Struct, frozen=True):
    """The message of a row, as it arrived; bytes that are not UTF-8 are shown as escapes."""

    id: UUID
    message: str


class Because(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a row is closed, or opened again."""

    reason: Text


class Assignment(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose a row is from now on; ``""``: nobody's."""

    assignee: Annotated[str, Meta(max_length=64)]


class ReplayBody(Struct, frozen=True, forbid_unknown_fields=True):
    """How to replay. ``is_dry``: say what would happen, and write nothing."""

    is_dry: bool = False


class ReplayFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which open rows to replay, the oldest first; null does not narrow.

    ``is_all``: without any filter, every open row is meant. ``after``: those that follow this row;
    ``per_s``: how many a second.
    """

    reason: ParkReason | None = None
    account: str | None = None
    order: str | None = None
    assignee: str | None = None
    is_all: bool = False
    is_dry: bool = False
    limit: Annotated[int, Meta(ge=1, le=REPLAYS_MAX)] = 100
    per_s: Annotated[float, Meta(ge=0.1, le=PER_S_MAX)] = 200.0
    after: (
        Annotated[str, Meta(pattern=_UUID, examples=["019f3c5e-7d30-7c31-a6c1-5b1d3f6a2e10"])]
        | None
    ) = None


class ReplayResult(Struct, frozen=True):
    """What each row came to. ``next_after`` is for the next request; null where none is left."""

    replayed: list[Replayed]
    next_after: UUID | None


_encode = msgspec.json.Encoder().encode


class ParkedHandler:
    """Handles requests about parked rows. Every change is stored with its audit row."""

    def __init__(
        self,
        *,
        rows: ParkedRows,
        runs: ReplayRuns,
        decoder: Decoder,
        clock: Clock,
        limits: Live[Limits],
    ) -> None:
        self._rows = rows
        self._runs = runs
        self._decoder = decoder
        self._clock = clock
        self._limits = limits

    async def list_rows(self, request: Request) -> Response:
        """Answer with a page of rows."""
        faults: list[Fault] = []
        values = request.query(_FILTER | {"after", "limit"}, faults)
        limit = operators.count(values.get("limit", "50"), LIMIT_MAX, "limit", faults)
        after = _uuid(values.get("after"), faults)
        of = self._filter(values, faults)
        rows = await self._rows.page(of, after=after, limit=limit)
        return _answer(ParkedPage(rows, rows[-1].id if len(rows) == limit else None))

    async def count_rows(self, request: Request) -> Response:
        """Answer with counts by reason."""
        faults: list[Fault] = []
        of = self._filter(request.query(_FILTER, faults), faults)
        return _answer(ParkedCounts(await self._rows.counts(of)))

    async def show_row(self, request: Request) -> Response:
        """Answer with a row and the masked view of its message."""
        kept = await self._kept(request)
        parts, fault = replay_runs.read_as(kept, self._decoder)
        text = parked.text_of(kept.row.reason)
        return _answer(
            ParkedShown(
                kept.row,
                text.meaning,
                text.action,
                text.is_replayable,
                parts,
                fault,
                self._runs.masked(kept, parts),
            )
        )

    async def show_message(self, request: Request) -> Response:
        """Answer with the whole message; the audit log has who read it."""
        kept = await self._kept(request)
        text = await self._runs.opened(kept, actor=operators.actor(request))
        if text is None:
            raise Answered(problem("not-found", kept.fault))
        return _answer(ParkedMessage(kept.row.id, text))

    async def resolve(self, request: Request) -> Response:
        """Close a row; one that is closed stays as it is."""
        because = await self._because(request)
        await self._rows.resolve([_id(request)], actor=operators.actor(request), reason=because)
        return _answer((await self._kept(request)).row)

    async def reopen(self, request: Request) -> Response:
        """Open a row again that a person closed."""
        because = await self._because(request)
        await self._rows.reopen([_id(request)], actor=operators.actor(request), reason=because)
        row = (await self._kept(request)).row
        if row.resolved_at is not None:
            raise _invalid("id", "is of a row whose message is applied: nothing is left to do")
        return _answer(row)

    async def assign(self, request: Request) -> Response:
        """Give a row to a person, or to nobody."""
        wanted = await self._body(request, Assignment)
        if wanted.assignee and not wanted.assignee.isprintable():
            raise _invalid("assignee", "must have printable characters only")
        await self._rows.assign(
            [_id(request)], actor=operators.actor(request), assignee=wanted.assignee
        )
        return _answer((await self._kept(request)).row)

    async def replay(self, request: Request) -> Response:
        """Replay one row; answer with what it came to."""
        wanted = await self._body(request, ReplayBody)
        done = await self._runs.one(
            _id(request), actor=operators.actor(request), is_dry=wanted.is_dry
        )
        if done is None:
            raise _no_row()
        return _answer(done)

    async def replay_all(self, request: Request) -> Response:
        """Replay the open rows of a filter, so many a request."""
        wanted = await self._body(request, ReplayFilter)
        narrowed = (wanted.reason, wanted.account, wanted.order, wanted.assignee)
        if all(each is None for each in narrowed) and not (wanted.is_all or wanted.is_dry):
            fault = Fault("is_all", "must be true to replay every open row; or give a filter")
            raise Answered(problem("invalid", faults=[fault]))
        of = Filter(
            reason=wanted.reason,
            account=wanted.account,
            order=wanted.order,
            assignee=wanted.assignee,
        )
        done: list[Replayed] = []
        async for each in self._runs.all(
            of,
            actor=operators.actor(request),
            is_dry=wanted.is_dry,
            per_s=wanted.per_s,
            limit=wanted.limit,
            after=None if wanted.after is None else UUID(wanted.after),
        ):
            done += each
        return _answer(ReplayResult(done, done[-1].id if len(done) == wanted.limit else None))

    def _filter(self, values: dict[str, str], faults: list[Fault]) -> Filter:
        """Return the filter of a query. Raises ``Answered`` where anything of it is wrong."""
        now = self._clock.now()
        of = Filter(
            state=_state(values.get("state", "open"), faults),
            reason=_reason(values.get("reason"), faults),
            account=values.get("account"),
            order=values.get("order"),
            assignee=values.get("assignee"),
            before=operators.ago(values.get("older_h"), now, "older_h", faults),
            after=operators.ago(values.get("newer_h"), now, "newer_h", faults),
        )
        if faults:
            raise Answered(problem("invalid", faults=faults))
        return of

    async def _kept(self, request: Request) -> KeptRow:
        kept = await self._rows.read(_id(request))
        if kept is None:
            raise _no_row()
        return kept

    async def _because(self, request: Request) -> str:
        text = (await self._body(request, Because)).reason
        if not text.strip() or not text.isprintable():
            raise _invalid("reason", "must have printable characters, and not blanks alone")
        return text

    async def _body(self, request: Request, type_: type[T]) -> T:
        require_json(request)
        body = await read_body(request, bytes_max=_BYTES_MAX, body_s=self._limits.now.body_s)
        return json_body.decode(msgspec.json.Decoder(type_).decode, body, type_)


def _answer(value: Struct) -> Response:
    return Response(200, _encode(value))


def _no_row() -> Answered:
    return Answered(problem("not-found", "no parked row has this id"))


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_values[0])
    except ValueError:
        raise _no_row() from None


def _invalid(field: str, reason: str) -> Answered:
    return Answered(problem("invalid", faults=[Fault(field, reason)]))


def _uuid(text: str | None, faults: list[Fault]) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        faults.append(Fault("after", "must be the id of a row"))
        return None


def _state(word: str, faults: list[Fault]) -> State:
    for known in parked.STATES:
        if known == word:
            return known
    faults.append(Fault("state", f"must be one of {', '.join(parked.STATES)}"))
    return "open"


def _reason(word: str | None, faults: list[Fault]) -> ParkReason | None:
    for known in parked.REASONS:
        if known == word:
            return known
    if word is not None:
        faults.append(Fault("reason", f"must be one of {', '.join(parked.REASONS)}"))
    return None
