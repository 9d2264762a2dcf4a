"""The operators' routes about rejected callbacks, with what each takes and answers."""

from gateway.providers.contract import REASONS
from gateway.web import apis
from gateway.web.handlers.rejected_callbacks import (
    LIMIT_MAX,
    RejectedCallbackHandler,
    RejectedList,
    RejectedShown,
)
from gateway.web.routing import Answer, Parameter, Route

_AUTH = ("unauthorised", "forbidden")
_TEXT = {"type": "string", "minLength": 1, "maxLength": 64}


def all_routes(handler: RejectedCallbackHandler) -> list[Route]:
    """Return the table of these routes over their handler."""
    return [
        Route(
            method="GET",
            template="/v1/admin/callbacks",
            name="admin.callbacks",
            operation="listRejectedCallbacks",
            tag=apis.PARKED,
            handler=handler.list_callbacks,
            role="operate",
            summary="List rejected callbacks, the newest first",
            parameters=[
                Parameter("provider", "query", _TEXT, "Of this provider."),
                Parameter("account", "query", _TEXT, "Of this account."),
                Parameter(
                    "reason",
                    "query",
                    {"type": "string", "enum": sorted(REASONS)},
                    "Rejected for this reason.",
                ),
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50},
                    "How many.",
                ),
            ],
            answers=[Answer(200, "The newest ones, and counts by reason.", RejectedList)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/callbacks/{id}",
            name="admin.callbacks.one",
            operation="getRejectedCallback",
            tag=apis.PARKED,
            handler=handler.show_callback,
            role="operate",
            summary="Read a rejected callback, masked",
            parameters=[
                Parameter(
                    "id", "path", {"type": "string", "format": "uuid"}, "The id of the callback."
                )
            ],
            answers=[Answer(200, "The callback; with its audit row.", RejectedShown)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
    ]
