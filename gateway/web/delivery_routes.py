"""The operators' routes about deliveries and targets, with what each takes and answers."""

from gateway.domain import dead_letters
from gateway.domain.dead_letters import ReplayedDeliveries
from gateway.stores.postgres.delivery_desk import LIMIT_MAX
from gateway.web import apis
from gateway.web.handlers.deliveries import (
    AttemptList,
    DeliveryHandler,
    DeliveryPage,
    DeliveryReplay,
    TargetChange,
    TargetChanged,
    TargetList,
)
from gateway.web.routing import Answer, Handler, Parameter, Route

_AUTH = ("unauthorised", "forbidden")
_BODY = ("malformed", "slow-body", "too-large", "unsupported-media-type", "invalid")
_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
_HOURS = {"type": "integer", "minimum": 1}
_TARGET = Parameter("name", "path", {"type": "string"}, "The name of the target.")


def all_routes(handler: DeliveryHandler) -> list[Route]:
    """Return the table of these routes over their handler."""
    return [
        Route(
            method="GET",
            template="/v1/admin/deliveries",
            name="admin.deliveries",
            operation="listDeliveries",
            tag=apis.DELIVERIES,
            handler=handler.list_deliveries,
            role="operate",
            summary="List dead letters, or what is still tried, the oldest first",
            parameters=[
                Parameter(
                    "state",
                    "query",
                    {"type": "string", "enum": list(dead_letters.STATES), "default": "dead"},
                    "Dead letters, what is still tried, or both.",
                ),
                Parameter("target", "query", _TEXT, "To this target."),
                Parameter("topic", "query", _TEXT, "Of this topic."),
                Parameter("reason", "query", _TEXT, "Whose last attempt failed for such a reason."),
                Parameter("order", "query", _TEXT, "Of the order with this number or id."),
                Parameter("older_h", "query", _HOURS, "Happened so many hours ago, or before."),
                Parameter("newer_h", "query", _HOURS, "Happened within so many hours."),
                Parameter("after", "query", _TEXT, "`next_after` of the previous page."),
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 50},
                    "Deliveries per page.",
                ),
            ],
            answers=[Answer(200, "A page of deliveries.", DeliveryPage)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/deliveries/attempts",
            name="admin.deliveries.attempts",
            operation="listAttempts",
            tag=apis.DELIVERIES,
            handler=handler.list_attempts,
            role="operate",
            summary="List the attempts to tell of an order, the latest first",
            parameters=[
                Parameter("order", "query", _TEXT, "Number or id of the order. Required."),
                Parameter(
                    "limit",
                    "query",
                    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": 100},
                    "How many.",
                ),
            ],
            answers=[Answer(200, "The attempts.", AttemptList)],
            problems=["malformed", *_AUTH, "invalid", "unavailable"],
        ),
        Route(
            method="POST",
            template="/v1/admin/deliveries/replay",
            name="admin.deliveries.replay",
            operation="replayDeliveries",
            tag=apis.DELIVERIES,
            handler=handler.replay,
            role="operate",
            summary="Have dead letters delivered after all",
            body=DeliveryReplay,
            answers=[
                Answer(
                    200,
                    "How many are due again, by target; with its audit row. A repeat finds none.",
                    ReplayedDeliveries,
                )
            ],
            problems=[*_BODY, *_AUTH, "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/targets",
            name="admin.targets",
            operation="listTargets",
            tag=apis.DELIVERIES,
            handler=handler.list_targets,
            role="operate",
            summary="List targets and what waits for each",
            answers=[Answer(200, "All targets.", TargetList)],
            problems=[*_AUTH, "unavailable"],
        ),
        _switch("disable", "disableTarget", handler.disable, "Hand nothing on to a target"),
        _switch("enable", "enableTarget", handler.enable, "Hand on to a target again"),
    ]


def _switch(word: str, operation: str, handle: Handler, summary: str) -> Route:
    return Route(
        method="POST",
        template=f"/v1/admin/targets/{{name}}/{word}",
        name=f"admin.targets.{word}",
        operation=operation,
        tag=apis.DELIVERIES,
        handler=handle,
        role="operate",
        summary=summary,
        parameters=[_TARGET],
        body=TargetChange,
        answers=[Answer(200, "As it is now; with its audit row.", TargetChanged)],
        problems=[*_BODY, *_AUTH, "not-found", "unavailable"],
    )
