"""What a route is: what the router matches and the OpenAPI document is generated from."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.domain.access import Role
from gateway.domain.features import Feature
from gateway.web.request import Request
from gateway.web.response import Response, StreamedResponse

Handler = Callable[[Request], Awaitable[Response | StreamedResponse]]


class Parameter(Struct, frozen=True):
    """A query parameter, request header or variable of the path, for the OpenAPI document."""

    name: str
    where: Literal["query", "header", "path"]
    schema: object
    description: str


class Header(Struct, frozen=True):
    """A header that an answer may have; ``schema`` is a JSON schema."""

    name: str
    schema: dict[str, object]
    description: str


class Answer(Struct, frozen=True):
    """One documented answer.

    ``schema`` is a msgspec type, a JSON schema, or None for a body of text; ``content_type`` is
    empty where there is no body. ``data`` is the type of the data of each event, where the body is
    a stream of events.
    """

    status: int
    description: str
    schema: object = None
    content_type: str = "application/json"
    headers: Sequence[Header] = ()
    data: object = None
    example: object = None


class Route(Struct, frozen=True, kw_only=True):
    """A method and a path with its handler, the role it requires, and its documentation.

    ``template`` has variables in braces; ``name`` labels metrics. Role None: no key is required.
    ``feature`` decides when it is shed; None: never rejected because of load.
    ``operation`` is its name in clients, ``tag`` the group it is shown in.
    """

    method: str
    template: str
    name: str
    handler: Handler
    role: Role | None
    operation: str
    tag: str
    summary: str
    answers: Sequence[Answer]
    description: str = ""
    body: object = None
    body_types: Sequence[str] = ("application/json",)
    parameters: Sequence[Parameter] = ()
    problems: Sequence[str] = ()
    feature: Feature | None = None
    #: Answers from the response cache while the feature is shed; None: the route has no cache.
    cached: Callable[[Request], Response | None] | None = None
    #: Who sends such requests, where that is no user of the API, and how to try it; in CommonMark.
    sender: str = ""
    #: What is documented in place of the route as a whole; together they are all of it.
    variants: Sequence["Variant"] = ()


class Variant(Struct, frozen=True, kw_only=True):
    """Some paths of a route, documented by themselves: those with these ``values`` of variables."""

    values: Mapping[str, str]
    operation: str
    summary: str
    #: A JSON schema.
    body: dict[str, object]
    body_types: Sequence[str]
    answers: Sequence[Answer]
    sender: str

    def applied(self, route: Route, template: str) -> Route:
        """Return the route as it is documented for these paths."""
        return msgspec.structs.replace(
            route,
            template=template,
            operation=self.operation,
            summary=self.summary,
            body=self.body,
            body_types=self.body_types,
            answers=self.answers,
            sender=self.sender,
            variants=(),
        )


def pattern(template: str) -> str:
    """Return the regular expression of a template's paths, with a group for each variable."""
    return re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(template))
