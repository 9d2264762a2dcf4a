"""The operators' routes about exceptions, with what each takes and answers."""

from gateway.domain.exception_cases import CLASSES
from gateway.stores.postgres.exceptions import ExceptionCase
from gateway.web import apis
from gateway.web.handlers.exceptions import (
    DAYS_MAX,
    LIMIT_MAX,
    CaseChange,
    CaseOpening,
    CasePage,
    CaseShown,
    ExceptionHandler,
    Report,
)
from gateway.web.routing import Answer, Parameter, Route

_AUTH = ("unauthorised", "forbidden")
_BODY = ("malformed", "slow-body", "too-large", "unsupported-media-type", "invalid")
_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_ID = Parameter("id", "path", {"type": "string", "format": "uuid"}, "The id of the exception.")


def all_routes(exceptions: ExceptionHandler) -> list[Route]:
    """Return the table of these routes over their handler."""
    return [
        Route(
            method="GET",
            template="/v1/admin/exceptions",
            name="admin.exceptions",
            operation="listExceptions",
            tag=apis.EXCEPTIONS,
            handler=exceptions.list_cases,
            role="operate",
            summary="List exceptions, the most urgent first",
            parameters=[
                Parameter(
                    "is_open",
                    "query",
                    {"type": "string", "enum": ["true", "false", "any"], "default": "true"},
                    "Open exceptions, resolved ones, or both.",
                ),
                Parameter(
                    "kind", "query", {"type": "string", "enum": list(CLASSES)}, "Of this class."
                ),
                Parameter("owner", "query", {"type": "string", "maxLength": 64}, "Of this owner."),
                Parameter("order_no", "query", _TEXT, "Of orders with this number."),
                Parameter(
                    "is_overdue",
                    "query",
                    {"type": "string", "enum": ["false", "true"], "default": "false"},
                    "Only those whose deadline is over.",
                ),
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
                    "Exceptions per page.",
                ),
            ],
            answers=[Answer(200, "A page of exceptions.", CasePage)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="POST",
            template="/v1/admin/exceptions",
            name="admin.exceptions.open",
            operation="openException",
            tag=apis.EXCEPTIONS,
            handler=exceptions.open_case,
            role="operate",
            summary="Open an exception of an order",
            body=CaseOpening,
            answers=[
                Answer(
                    200,
                    "It is open. Where a person had opened one of this class for the order before, "
                    "that one is.",
                    ExceptionCase,
                )
            ],
            problems=[*_BODY, *_AUTH, "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/exceptions/report",
            name="admin.exceptions.report",
            operation="reportExceptions",
            tag=apis.EXCEPTIONS,
            handler=exceptions.report,
            role="operate",
            summary="Count exceptions by class, with their ages and relapses",
            parameters=[
                Parameter(
                    "days",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": DAYS_MAX, "default": 7},
                    "Days to look back.",
                )
            ],
            answers=[Answer(200, "A row for each class that has exceptions.", Report)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/exceptions/{id}",
            name="admin.exceptions.one",
            operation="getException",
            tag=apis.EXCEPTIONS,
            handler=exceptions.show_case,
            role="operate",
            summary="Read an exception with its journal",
            parameters=[_ID],
            answers=[Answer(200, "The exception.", CaseShown)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
        Route(
            method="POST",
            template="/v1/admin/exceptions/{id}/entries",
            name="admin.exceptions.change",
            operation="changeException",
            tag=apis.EXCEPTIONS,
            handler=exceptions.change_case,
            role="operate",
            summary="Assign, date, comment, resolve or reopen an exception",
            parameters=[_ID],
            body=CaseChange,
            answers=[
                Answer(
                    200,
                    "The exception as it is now; with its audit row. To resolve a resolved one, or "
                    "reopen an open one, changes nothing.",
                    ExceptionCase,
                )
            ],
            problems=[*_BODY, *_AUTH, "not-found", "unavailable"],
        ),
    ]
