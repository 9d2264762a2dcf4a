"""The routes of the operators' listener, with what each takes and answers."""

import msgspec

from gateway.domain import overrides, plans
from gateway.overload import snapshot
from gateway.web import (
    apis,
    delivery_routes,
    document_routes,
    exception_routes,
    missed_routes,
    parked_routes,
    rejected_routes,
)
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
from gateway.web.handlers.deliveries import DeliveryHandler
from gateway.web.handlers.documents import Documents
from gateway.web.handlers.exceptions import ExceptionHandler
from gateway.web.handlers.missed import MissedHandler
from gateway.web.handlers.parked import ParkedHandler
from gateway.web.handlers.queries import principal_of
from gateway.web.handlers.rejected_callbacks import RejectedCallbackHandler
from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response, StreamedResponse
from gateway.web.routing import Answer, Parameter, Route

_AUTH = ("unauthorised", "forbidden")
_TARGET = Parameter(
    "target", "path", {"type": "string", "enum": overrides.targets()}, "A feature or a tier."
)
_NAME = Parameter(
    "name", "path", {"type": "string", "pattern": plans.NAME_PATTERN}, "The name of the plan."
)


def all_routes(
    *,
    admin: AdminHandler,
    exceptions: ExceptionHandler,
    parked: ParkedHandler,
    deliveries: DeliveryHandler,
    rejected: RejectedCallbackHandler,
    missed: MissedHandler,
    documents: Documents,
) -> list[Route]:
    """Return the table of the operators' routes over their handlers.

    Keys that are limited to channels may only use those of missed orders, which show theirs.
    """
    narrowed = missed_routes.all_routes(missed)
    whole = _of_the_whole(
        admin=admin, exceptions=exceptions, parked=parked, deliveries=deliveries, rejected=rejected
    )
    return [
        *map(_for_every_channel, whole),
        *narrowed,
        *document_routes.all_routes(documents, prefix="admin.", feature=None),
    ]


def _for_every_channel(route: Route) -> Route:
    """Return a route that a key may use only if it is not limited to channels."""
    handle = route.handler

    async def checked(request: Request) -> Response | StreamedResponse:
        if principal_of(request).channels:
            detail = "the key is limited to channels, and this is about all of them"
            raise Answered(problem("forbidden", detail))
        return await handle(request)

    return msgspec.structs.replace(route, handler=checked)


def _of_the_whole(
    *,
    admin: AdminHandler,
    exceptions: ExceptionHandler,
    parked: ParkedHandler,
    deliveries: DeliveryHandler,
    rejected: RejectedCallbackHandler,
) -> list[Route]:
    override = "/v1/admin/modes/{target}"
    return [
        Route(
            method="GET",
            template="/v1/admin/load",
            name="admin.load",
            operation="getLoad",
            tag=apis.LOAD,
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
            operation="listOverrides",
            tag=apis.OVERRIDES,
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
            operation="setOverride",
            tag=apis.OVERRIDES,
            parameters=[_TARGET],
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
            operation="approveOverride",
            tag=apis.OVERRIDES,
            parameters=[_TARGET],
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
            operation="clearOverride",
            tag=apis.OVERRIDES,
            parameters=[_TARGET],
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
            operation="listPlans",
            tag=apis.PLANS,
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
            operation="setPlan",
            tag=apis.PLANS,
            parameters=[_NAME],
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
            operation="dropPlan",
            tag=apis.PLANS,
            parameters=[_NAME],
            handler=admin.drop_plan,
            role="operate",
            summary="Drop a plan",
            answers=[Answer(200, "Dropped; with its audit row.", PlanResult)],
            problems=[*_AUTH, "not-found", "unavailable"],
        ),
        *parked_routes.all_routes(parked),
        *delivery_routes.all_routes(deliveries),
        *rejected_routes.all_routes(rejected),
        *exception_routes.all_routes(exceptions),
    ]  # fmt: skip
