"""What a process of each role serves, so that what is read can not take the CPU of what comes in.

A route is of the core or not by its feature, wherever its path lies. What belongs to none of its
own (health, readiness, metrics, the OpenAPI document) is served by every process.
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
    """Say whether a process of this role answers this route itself."""
    if role == "all" or route.feature is None or route.feature is OTHER:
        return True
    return route.feature.is_core == (role == "core")


def table(role: ProcessRole, routes: Sequence[Route]) -> list[Route]:
    """Return the routes with those of the other role answered 421: no key, no body is looked at."""
    return [route if serves(role, route) else _turned_away(route) for route in routes]


def misdirected(route: Route) -> Response:
    """Make the answer of a process that does not serve the route: 421, and who does."""
    role = "core" if route.feature is not None and route.feature.is_core else "query"
    detail = f"processes of the role `{role}` serve this: the front in between sent it to another"
    return problem("misdirected", detail)


def _turned_away(route: Route) -> Route:
    reply = misdirected(route)

    async def answer(_: Request) -> Response:
        return reply

    return msgspec.structs.replace(route, handler=answer, role=None, feature=None)
