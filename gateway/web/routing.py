"""What a route is: what the router matches and the OpenAPI document is generated from."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from msgspec import Struct

from gateway.domain.access import Role
from gateway.domain.features import Feature
from gateway.web.request import Request
from gateway.web.response import Response, StreamedResponse

Handler = Callable[[Request], Awaitable[Response | StreamedResponse]]


class Parameter(Struct, frozen=True):
    """A query parameter or request header, for the OpenAPI document."""

    name: str
    where: Literal["query", "header"]
    schema: object
    description: str


class Answer(Struct, frozen=True):
    """One documented answer. ``schema`` is a msgspec type, or None for a body without one.

    ``data`` is the type of the data of each event, where the body is a stream of events.
    """

    status: int
    description: str
    schema: object = None
    content_type: str = "application/json"
    #: Headers that it may have: name, JSON schema and description.
    headers: Sequence[tuple[str, dict[str, object], str]] = ()
    data: object = None


class Route(Struct, frozen=True):
    """A method and a path with its handler, the role it requires, and its documentation.

    ``template`` has variables in braces; ``name`` labels metrics. Role None: no key is required.
    ``feature`` decides when it is shed; None: never rejected because of load.
    """

    method: str
    template: str
    name: str
    handler: Handler
    role: Role | None
    summary: str
    answers: Sequence[Answer]
    body: object = None
    body_types: Sequence[str] = ("application/json",)
    parameters: Sequence[Parameter] = ()
    problems: Sequence[str] = ()
    feature: Feature | None = None
    #: Answers from the response cache while the feature is shed; None: the route has no cache.
    cached: Callable[[Request], Response | None] | None = None


def pattern(template: str) -> str:
    """Return the regular expression of a template's paths, with a group for each variable."""
    return re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(template))
