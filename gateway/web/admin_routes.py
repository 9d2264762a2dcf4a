"""The routes of the operators' listener, with what each takes and answers."""

from gateway.overload import snapshot
from gateway.web.handlers.admin import (
    Cleared,
    Operations,
    OverrideBody,
    OverrideList,
    OverrideResult,
    PlanChanged,
    PlanList,
    PlanOrder,
)
from gateway.web.routing import Answer, Route

_AUTH = ("unauthorised", "forbidden")


def all_routes(operations: Operations) -> list[Route]:
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
            answers=[Answer(200, "Its load, tiers and modes.", snapshot.State)],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/modes",
            name="admin.modes",
            handler=operations.every,
            role="operate",
            summary="List the modes that stand or are asked for",
            answers=[Answer(200, "All modes.", OverrideList)],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="PUT",
            template=one,
            name="admin.modes.set",
            handler=operations.set,
            role="operate",
            summary="Refuse or take a feature or a tier whatever the load, for a while",
            body=OverrideBody,
            answers=[
                Answer(200, "Set with its audit row, or waiting for agreement.", OverrideResult)
            ],
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
            answers=[Answer(200, "It stands, with its audit row.", OverrideResult)],
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
        Route(
            method="GET",
            template="/v1/admin/plans",
            name="admin.plans",
            handler=operations.every_plan,
            role="operate",
            summary="List the steps of all plans",
            answers=[Answer(200, "All steps.", PlanList)],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="PUT",
            template="/v1/admin/plans/{name}",
            name="admin.plans.set",
            handler=operations.plan,
            role="operate",
            summary="Say beforehand what goes dark during a sale, and when",
            body=PlanOrder,
            answers=[Answer(200, "It is set, with its audit row.", PlanChanged)],
            problems=[
                "malformed", *_AUTH, "slow-body", "too-large", "unsupported-media-type", "invalid",
                "unavailable",
            ],
        ),
        Route(
            method="DELETE",
            template="/v1/admin/plans/{name}",
            name="admin.plans.drop",
            handler=operations.drop_plan,
            role="operate",
            summary="Drop a plan",
            answers=[Answer(200, "It is dropped, with its audit row.", PlanChanged)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
    ]  # fmt: skip
