"""The OpenAPI 3.1 document, generated from the routes and the types that the handlers use."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.web.problem_kinds import KINDS
from gateway.web.problems import Problem
from gateway.web.response import PROBLEM
from gateway.web.routing import Route

#: Of every answer but a rejection for load, which thousands of requests share.
_REQUEST_ID = {
    "schema": {"type": "string"},
    "description": "The name of this request in the log: the sender's own, or one made here.",
}
_REF = "#/components/schemas/{name}"


def document(routes: Sequence[Route], *, version: str) -> bytes:
    """Return the document as JSON."""
    types: list[Any] = [Problem]
    for route in routes:
        types += [answer.schema for answer in route.answers if _is_type(answer.schema)]
        types += [answer.data for answer in route.answers if _is_type(answer.data)]
        if _is_type(route.body):
            types.append(route.body)
        types += [p.schema for p in route.parameters if _is_type(p.schema)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, known)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Tidegate",
                "version": version,
                "summary": "Orders and payment callbacks, committed before the 2xx.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _is_type(schema: object) -> bool:
    return schema is not None and not isinstance(schema, dict)


def _schema(schema: object, known: dict[str, Any]) -> Any:
    return schema if isinstance(schema, dict) else known[repr(schema)]


def _event(data: object, known: dict[str, Any]) -> Any:
    """Return the schema of the events of a stream, in the terms of OpenAPI 3.2."""
    carried = {"contentMediaType": "application/json", "contentSchema": _schema(data, known)}
    return {"type": "object", "properties": {"data": {"type": "string", **carried}}}


def _operation(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "security": [] if route.role is None else [{"key": []}],
        "responses": _responses(route, known),
    }
    if route.role is not None:
        operation["description"] = f"Requires the role `{route.role}`."
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.template)
    ]
    parameters += [
        {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.description,
            "schema": _schema(parameter.schema, known),
        }
        for parameter in route.parameters
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        body = {"schema": _schema(route.body, known)}
        operation["requestBody"] = {
            "required": True,
            "content": dict.fromkeys(route.body_types, body),
        }
    return operation


def _responses(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for answer in route.answers:
        response: dict[str, Any] = {"description": answer.description}
        content: dict[str, Any] = {}
        if answer.schema is not None:
            content = {"schema": _schema(answer.schema, known)}
        if answer.data is not None:
            content["x-itemSchema"] = _event(answer.data, known)
        response["content"] = {answer.content_type: content}
        if answer.headers:
            response["headers"] = {
                name: {"schema": schema, "description": description}
                for name, schema, description in answer.headers
            }
        responses[str(answer.status)] = response
    for kind in route.problems:
        status, title = KINDS[kind].status, KINDS[kind].title
        response = responses.setdefault(str(status), {"description": title, "content": {}})
        if title not in response["description"]:
            response["description"] += f" Or: {title.lower()}."
        response["content"][PROBLEM] = {"schema": known[repr(Problem)]}
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-Id"] = _REQUEST_ID
    return responses
