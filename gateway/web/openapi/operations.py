"""The operations of a document, each from its route."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.providers.contract import FORM
from gateway.web.openapi.schemas import Schema, Schemas
from gateway.web.problem_kinds import KINDS
from gateway.web.problems import Problem
from gateway.web.response import PROBLEM
from gateway.web.routing import Answer, Header, Parameter, Route

#: The name of the security scheme.
KEY = "apiKey"

_RETRY_AFTER = Header(
    "Retry-After",
    {"type": "integer", "minimum": 1},
    "Seconds after which the same request may be sent again.",
)
#: Headers of problems, by status.
_PROBLEM_HEADERS: Mapping[int, Sequence[Header]] = {
    401: [Header("WWW-Authenticate", {"type": "string"}, "`Bearer`.")],
    429: [_RETRY_AFTER],
    503: [_RETRY_AFTER],
}


#: Of every answer but a rejection for load, which thousands of requests share.
REQUEST_ID = Header(
    "X-Request-Id",
    {"type": "string"},
    "The name of this request in the log: the sender's own, or one made here.",
)
_REQUEST_ID_REF = {"$ref": "#/components/headers/RequestId"}


def types(routes: Iterable[Route]) -> Iterator[object]:
    """Iterate over everything that the routes name as a schema."""
    for route in routes:
        yield route.body
        yield from (each.schema for each in route.parameters)
        for answer in route.answers:
            yield from (answer.schema, answer.data)


def described(route: Route, schemas: Schemas) -> Iterator[tuple[str, dict[str, Any]]]:
    """Iterate over a route's operations with their paths: one, or one for each variant."""
    for variant in route.variants:
        template = route.template
        for name, value in variant.values.items():
            template = template.replace(f"{{{name}}}", value)
        yield template, _operation(variant.applied(route, template), schemas)
    if not route.variants:
        yield route.template, _operation(route, schemas)


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "tags": [route.tag],
        "summary": route.summary,
        "description": _description(route),
        # OpenAPI 3.1: other schemes than OAuth list the roles that are required.
        "security": [] if route.role is None else [{KEY: [route.role]}],
        "parameters": [_parameter(each, schemas) for each in _parameters(route)],
        "responses": _responses(route, schemas),
        "x-sentBy": route.sender,
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {
                media_type: {"schema": _body(schemas.of(route.body), media_type)}
                for media_type in route.body_types
            },
        }
    return {name: value for name, value in operation.items() if value or name == "security"}


def _body(schema: Schema, media_type: str) -> Schema:
    """Return the schema of a body; of a form whose fields are the sender's, as generators like it.

    openapi-generator 7.26 reports an error where free fields of a form are allowed explicitly.
    """
    if media_type != FORM or schema.get("additionalProperties") is not True:
        return schema
    return {name: value for name, value in schema.items() if name != "additionalProperties"}


def _description(route: Route) -> str:
    role = "" if route.role is None else f"Requires the role `{route.role}`."
    return "\n\n".join(filter(None, (route.description, role)))


def _parameters(route: Route) -> Iterator[Parameter]:
    """Iterate over the variables of the path, then the other parameters."""
    described = {each.name: each for each in route.parameters if each.where == "path"}
    for name in re.findall(r"\{(\w+)\}", route.template):
        yield described.get(name) or Parameter(name, "path", {"type": "string"}, "")
    yield from (each for each in route.parameters if each.where != "path")


def _parameter(parameter: Parameter, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"name": parameter.name, "in": parameter.where}
    if parameter.where == "path":
        described["required"] = True
    if parameter.description:
        described["description"] = parameter.description
    return described | {"schema": schemas.of(parameter.schema)}


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for answer in route.answers:
        response: dict[str, Any] = {"description": answer.description}
        if answer.headers:
            response["headers"] = _headers(answer.headers)
        if answer.content_type:
            response["content"] = {answer.content_type: _content(answer, schemas)}
        responses[str(answer.status)] = response
    for kind in route.problems:
        status, title = KINDS[kind].status, KINDS[kind].title
        text = f"`{kind}`: {title}."
        response = responses.setdefault(str(status), {"description": ""})
        response["description"] = f"{response['description']} {text}".lstrip()
        if status in _PROBLEM_HEADERS:
            response.setdefault("headers", {}).update(_headers(_PROBLEM_HEADERS[status]))
        response.setdefault("content", {})[PROBLEM] = {"schema": schemas.of(Problem)}
    for response in responses.values():
        response.setdefault("headers", {})[REQUEST_ID.name] = _REQUEST_ID_REF
    return dict(sorted(responses.items()))


def header(described: Header) -> dict[str, Any]:
    """Return the object of a header."""
    return {"description": described.description, "schema": described.schema}


def _headers(headers: Sequence[Header]) -> dict[str, Any]:
    return {each.name: header(each) for each in headers}


def _content(answer: Answer, schemas: Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schemas.of(answer.schema or {"type": "string"})}
    if answer.data is not None:
        content["x-itemSchema"] = _event(schemas.of(answer.data))
    if answer.example is not None:
        content["example"] = answer.example
    return content


def _event(data: Schema) -> Schema:
    """Return the schema of the events of a stream, in the terms of OpenAPI 3.2."""
    carried = {"contentMediaType": "application/json", "contentSchema": data}
    return {"type": "object", "properties": {"data": {"type": "string", **carried}}}
