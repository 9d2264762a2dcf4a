"""The operators' routes about missed orders, with what each takes and answers."""

from gateway.web import apis
from gateway.web.handlers.missed import LIMIT_MAX, MissedHandler, MissedPage, PushBody, PushResult
from gateway.web.routing import Answer, Parameter, Route

_AUTH = ("unauthorised", "forbidden")
_NAME = {"type": "string", "minLength": 1, "maxLength": 32}


def all_routes(handler: MissedHandler) -> list[Route]:
    """Return the table of these routes over their handler."""
    return [
        Route(
            method="GET",
            template="/v1/admin/missed",
            name="admin.missed",
            operation="listMissedOrders",
            tag=apis.MISSED,
            handler=handler.list_orders,
            role="operate",
            summary="List orders that a target should have accepted by now",
            parameters=[
                Parameter("target", "query", _NAME, "Those that this target should accept."),
                Parameter("channel", "query", _NAME, "Those of this channel."),
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 100},
                    "Orders per page.",
                ),
                Parameter(
                    "after", "query", {"type": "string"}, "`next_after` of the previous page."
                ),
                Parameter(
                    "format",
                    "query",
                    {"type": "string", "enum": ["json", "csv"], "default": "json"},
                    "`csv`: the page as a sheet, with a head.",
                ),
            ],
            answers=[Answer(200, "A page of orders, those that wait longest first.", MissedPage)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="POST",
            template="/v1/admin/missed/push",
            name="admin.missed.push",
            operation="pushMissedOrders",
            tag=apis.MISSED,
            handler=handler.push,
            role="operate",
            summary="Deliver `order.paid` of missed orders once more, under the same event id",
            body=PushBody,
            answers=[Answer(200, "What was pushed. To repeat it is harmless.", PushResult)],
            problems=[
                "malformed", *_AUTH, "slow-body", "too-large", "unsupported-media-type", "invalid",
                "unavailable",
            ],
        ),
    ]  # fmt: skip
