"""The whole document: what it covers, its tags, its paths, and the schemas of the types used."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.web.openapi import operations
from gateway.web.openapi.schemas import Schemas
from gateway.web.problems import Problem
from gateway.web.routing import Route

Document = dict[str, Any]


class Api(Struct, frozen=True):
    """What a document says about its listener as a whole."""

    title: str
    summary: str
    #: In CommonMark; says what the document covers.
    description: str
    #: How to get a key.
    keys: str
    #: Tags of the routes with a sentence each, in the order in which they are shown.
    tags: Mapping[str, str]
    #: Closed lists of values that have a name of their own.
    named: Mapping[str, object]


def document(api: Api, routes: Sequence[Route], *, version: str, server: str) -> Document:
    """Return the document. ``server``: where clients reach the listener, "/": where it is served.

    Raises ``ValueError`` for a pattern that not every client can compile.
    """
    schemas = Schemas([Problem, *operations.types(routes)], named=api.named)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for template, operation in operations.described(route, schemas):
            paths.setdefault(template, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": api.title,
            "version": version,
            "summary": api.summary,
            "description": api.description,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server, "description": _server(server)}],
        "tags": [{"name": name, "description": text} for name, text in api.tags.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": {"RequestId": operations.header(operations.REQUEST_ID)},
            "securitySchemes": {
                operations.KEY: {"type": "http", "scheme": "bearer", "description": api.keys}
            },
        },
    }


def encode(described: Document) -> bytes:
    """Return a document as JSON."""
    return msgspec.json.encode(described)


def _server(url: str) -> str:
    return "Where this document is served." if url == "/" else "Where clients reach the gateway."
