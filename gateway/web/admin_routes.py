"""The routes of the operators' listener, with what each takes and answers."""

from gateway.overload import snapshot
from gateway.web.handlers.admin import (
    AdminHandler,
    ClearResult,
    OverrideBody,
    OverrideList,
    OverrideResult,
    PlanBody,
    PlanList,
    PlanResult,
)
from gateway.web.routing import Answer, Route

_AUTH = ("unauthorised", "forbidden")


def all_routes(admin: AdminHandler) -> list[Route]:
    """Return the table of the operators' routes over their handler."""
    override = "/v1/admin/modes/{target}"
    return [
        Route(
            method="GET",
            template="/v1/admin/load",
            name="admin.load",
            handler=admin.show_load,
            role="operate",
            summary="Show the load of the process that answers",
            answers=[
                Answer(200, "Load, tiers and overrides of the process.", snapshot.ProcessLoad)
            ],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/modes",
            name="admin.modes",
            handler=admin.list_overrides,
            role="operate",
            summary="List active and pending overrides",
            answers=[Answer(200, "All overrides.", OverrideList)],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="PUT",
            template=override,
            name="admin.modes.set",
            handler=admin.set_override,
            role="operate",
            summary="Set an override: shed or admit a feature or tier, whatever the load",
            body=OverrideBody,
            answers=[
                Answer(200, "Active, or pending approval; with its audit row.", OverrideResult)
            ],
            problems=[
                "malformed", *_AUTH, "not-found", "slow-body", "too-large",
                "unsupported-media-type", "invalid", "unavailable",
            ],
        ),
        Route(
            method="POST",
            template=f"{override}/agreement",
            name="admin.modes.agree",
            handler=admin.approve,
            role="operate",
            summary="Approve a pending override, as a second person",
            answers=[Answer(200, "Active; with its audit row.", OverrideResult)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
        Route(
            method="DELETE",
            template=override,
            name="admin.modes.clear",
            handler=admin.clear_override,
            role="operate",
            summary="Clear the override of a feature or tier",
            answers=[Answer(200, "Cleared; with its audit row.", ClearResult)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
        Route(
            method="GET",
            template="/v1/admin/plans",
            name="admin.plans",
            handler=admin.list_plans,
            role="operate",
            summary="List the steps of all plans",
            answers=[Answer(200, "The steps of all plans.", PlanList)],
            problems=[*_AUTH, "unavailable"],
        ),
        Route(
            method="PUT",
            template="/v1/admin/plans/{name}",
            name="admin.plans.set",
            handler=admin.set_plan,
            role="operate",
            summary="Set a plan: what is shed during a sale, and when",
            body=PlanBody,
            answers=[Answer(200, "Set; with its audit row.", PlanResult)],
            problems=[
                "malformed", *_AUTH, "slow-body", "too-large", "unsupported-media-type", "invalid",
                "unavailable",
            ],
        ),
        Route(
            method="DELETE",
            template="/v1/admin/plans/{name}",
            name="admin.plans.drop",
            handler=admin.drop_plan,
            role="operate",
            summary="Drop a plan",
            answers=[Answer(200, "Dropped; with its audit row.", PlanResult)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
    ]  # fmt: skip
