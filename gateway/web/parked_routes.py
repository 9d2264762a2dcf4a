"""The operators' routes about parked rows, with what each takes and answers."""

from gateway.domain import parked
from gateway.domain.parked import Parked
from gateway.intake.replays import Replayed
from gateway.stores.postgres.parked import LIMIT_MAX
from gateway.web import apis
from gateway.web.handlers.parked import (
    Assignment,
    Because,
    ParkedCounts,
    ParkedHandler,
    ParkedMessage,
    ParkedPage,
    ParkedShown,
    ReplayBody,
    ReplayFilter,
    ReplayResult,
)
from gateway.web.routing import Answer, Handler, Parameter, Route

_AUTH = ("unauthorised", "forbidden")
_BODY = ("malformed", "slow-body", "too-large", "unsupported-media-type", "invalid")
_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_HOURS = {"type": "integer", "minimum": 1}
_ID = Parameter("id", "path", {"type": "string", "format": "uuid"}, "The id of the row.")
_FILTER = [
    Parameter(
        "state",
        "query",
        {"type": "string", "enum": list(parked.STATES), "default": "open"},
        "Rows that are open, closed, or both.",
    ),
    Parameter("reason", "query", _TEXT, "Parked for this reason."),
    Parameter("account", "query", _TEXT, "Told by this provider, or by one `provider:account`."),
    Parameter("order", "query", _TEXT, "Number or id of an order, or number of a transaction."),
    Parameter(
        "assignee",
        "query",
        {"type": "string", "maxLength": 64},
        "Of this person; empty: of nobody.",
    ),
    Parameter("older_h", "query", _HOURS, "Arrived so many hours ago, or before."),
    Parameter("newer_h", "query", _HOURS, "Arrived within so many hours."),
]


def all_routes(handler: ParkedHandler) -> list[Route]:
    """Return the table of these routes over their handler."""
    return [
        Route(
            method="GET",
            template="/v1/admin/parked",
            name="admin.parked",
            operation="listParked",
            tag=apis.PARKED,
            handler=handler.list_rows,
            role="operate",
            summary="List what is parked, the oldest first",
            parameters=[
                *_FILTER,
                Parameter(
                    "after",
                    "query",
                    {"type": "string", "format": "uuid"},
                    "`next_after` of the previous page.",
                ),
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50},
                    "Rows per page.",
                ),
            ],
            answers=[Answer(200, "A page of rows.", ParkedPage)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/parked/counts",
            name="admin.parked.counts",
            operation="countParked",
            tag=apis.PARKED,
            handler=handler.count_rows,
            role="operate",
            summary="Count what is parked, by reason",
            parameters=_FILTER,
            answers=[Answer(200, "A row for each reason.", ParkedCounts)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="POST",
            template="/v1/admin/parked/replay",
            name="admin.parked.replay_all",
            operation="replayAllParked",
            tag=apis.PARKED,
            handler=handler.replay_all,
            role="operate",
            summary="Replay the open rows of a filter",
            body=ReplayFilter,
            answers=[Answer(200, "What each row came to. To repeat it is harmless.", ReplayResult)],
            problems=[*_BODY, *_AUTH, "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/parked/{id}",
            name="admin.parked.one",
            operation="getParked",
            tag=apis.PARKED,
            handler=handler.show_row,
            role="operate",
            summary="Read a row, what to do about it, and its message, masked",
            parameters=[_ID],
            answers=[Answer(200, "The row.", ParkedShown)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/parked/{id}/message",
            name="admin.parked.message",
            operation="getParkedMessage",
            tag=apis.PARKED,
            handler=handler.show_message,
            role="query_pii",
            summary="Read the message of a row, private fields in clear",
            parameters=[_ID],
            answers=[Answer(200, "The message; with its audit row.", ParkedMessage)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
        _changing("resolve", "resolveParked", handler.resolve, "Close a row", Because, Parked),
        _changing(
            "reopen",
            "reopenParked",
            handler.reopen,
            "Open a row again that a person closed",
            Because,
            Parked,
        ),
        _changing(
            "assign",
            "assignParked",
            handler.assign,
            "Give a row to a person, or to nobody",
            Assignment,
            Parked,
        ),
        _changing(
            "replay",
            "replayParked",
            handler.replay,
            "Decode the message of a row anew, and judge it again",
            ReplayBody,
            Replayed,
        ),
    ]


def _changing(
    word: str,
    operation: str,
    handle: Handler,
    summary: str,
    body: object,
    answer: object,
) -> Route:
    return Route(
        method="POST",
        template=f"/v1/admin/parked/{{id}}/{word}",
        name=f"admin.parked.{word}",
        operation=operation,
        tag=apis.PARKED,
        handler=handle,
        role="operate",
        summary=summary,
        parameters=[_ID],
        body=body,
        answers=[Answer(200, "As it is now; with its audit row. Repeats change nothing.", answer)],
        problems=[*_BODY, *_AUTH, "not-found", "unavailable"],
    )
