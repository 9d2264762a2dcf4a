"""What a process of each role serves, so that reads cannot take the CPU of orders and callbacks.

Whether a route belongs to the core is decided by its feature, not by its path. Routes without a
feature of their own (health, readiness, metrics, the OpenAPI document) are served everywhere.
"""

from collections.abc import Sequence

import msgspec

from gateway.domain.features import OTHER
from gateway.runtime.settings import ProcessRole
from gateway.web.problems import problem
from gateway.web.request import Request
from gateway.web.response import Response
from gateway.web.routing import Route


def serves(role: ProcessRole, route: Route) -> bool:
    """Return whether a process of this role serves this route."""
    if role == "all" or route.feature is None or route.feature is OTHER:
        return True
    return route.feature.is_core == (role == "core")


def table(role: ProcessRole, routes: Sequence[Route]) -> list[Route]:
    """Return the routes; those of the other role answer 421 without reading key or body."""
    return [route if serves(role, route) else _misdirecting(route) for route in routes]


def misdirected(route: Route) -> Response:
    """Return the answer for a route of the other role: 421, and which role serves it."""
    role = "core" if route.feature is not None and route.feature.is_core else "query"
    detail = f"processes of the role `{role}` serve this path; check the load balancer's routing"
    return problem("misdirected", detail)


def _misdirecting(route: Route) -> Route:
    response = misdirected(route)

    async def answer(_: Request) -> Response:
        return response

    return msgspec.structs.replace(route, handler=answer, role=None, feature=None)
