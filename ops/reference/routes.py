"""The page of the routes: both tables, and the roles that API keys may have."""

import inspect
from collections.abc import Sequence
from typing import Any

from gateway.domain import access
from gateway.web import admin_routes, routes
from gateway.web.problem_kinds import KINDS
from gateway.web.routing import Route
from ops.reference import comments, markdown

_INTRODUCTION = """\
The OpenAPI document of a running gateway, `/openapi.json`, describes parameters, bodies and
answers, and `/docs` shows it as a page with examples; this page is the overview.
"""
_ROLES = """\
A key is made with one or more of these roles: `tidegate keys create --name NAME --role ROLE`.
"""
_ADMIN = """\
On a listener of its own, at [`admin_host`](settings.md#admin_host) and
[`admin_port`](settings.md#admin_port), for keys with the role `operate`.
"""


class _Nothing:
    """Stands in for the handlers: the table names them and calls none."""

    def __getattr__(self, name: str) -> None:
        return None


def page() -> str:
    """Return the page."""
    nothing: Any = _Nothing()
    handlers = dict.fromkeys(inspect.signature(routes.all_routes).parameters, nothing)
    clients = routes.all_routes(**handlers)
    meanings = comments.elements(access, "Role")
    rows = [(markdown.code(name), meaning) for name, meaning in meanings.items()]
    return markdown.page(
        "Routes and roles",
        _INTRODUCTION,
        "## Routes",
        _table(clients),
        "## Routes of operators",
        _ADMIN,
        _table(
            admin_routes.all_routes(
                admin=nothing,
                exceptions=nothing,
                parked=nothing,
                deliveries=nothing,
                rejected=nothing,
                missed=nothing,
                documents=nothing,
            )
        ),
        "## Roles of API keys",
        _ROLES,
        markdown.table(("role", "what it may do"), rows),
    )


def _table(found: Sequence[Route]) -> str:
    rows = [
        (
            markdown.code(f"{route.method} {route.template}"),
            route.summary,
            markdown.code(route.role) if route.role else "no key",
            _problems(route.problems),
        )
        for route in found
    ]
    return markdown.table(("route", "what it does", "role", "problems"), rows)


def _problems(names: Sequence[str]) -> str:
    ordered = sorted(names, key=lambda name: (KINDS[name].status, name))
    return ", ".join(f"[{KINDS[name].status}](errors.md#{name})" for name in ordered)
