"""The documents of both listeners, made without a gateway."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import Mock

from gateway.providers import registry
from gateway.web import admin_routes, apis, callback_variants, routes
from gateway.web.handlers.documents import Documents
from gateway.web.openapi import document
from gateway.web.routing import Route

Json = dict[str, Any]


def client_routes() -> list[Route]:
    """Return the clients' routes over handlers that do nothing."""
    return routes.all_routes(
        orders=Mock(),
        callbacks=Mock(),
        queries=Mock(),
        exports=Mock(),
        stream=Mock(),
        remarks=Mock(),
        actions=Mock(),
        approvals=Mock(),
        status=Mock(),
        documents=Documents(),
        callback_variants=callback_variants.of(registry.PROVIDERS),
    )


def operator_routes() -> list[Route]:
    """Return the operators' routes over handlers that do nothing."""
    return admin_routes.all_routes(
        admin=Mock(),
        exceptions=Mock(),
        parked=Mock(),
        deliveries=Mock(),
        rejected=Mock(),
        missed=Mock(),
        documents=Documents(),
    )


def of_clients(*, server: str = "/", routes: Iterable[Route] | None = None) -> Json:
    """Return the clients' document, as a client reads it."""
    listed = client_routes() if routes is None else list(routes)
    return _read(document.document(apis.CLIENTS, listed, version="0.1.0", server=server))


def of_operators() -> Json:
    """Return the operators' document, as a client reads it."""
    return _read(document.document(apis.OPERATORS, operator_routes(), version="0.1.0", server="/"))


def _read(described: document.Document) -> Json:
    read: Json = json.loads(document.encode(described))
    return read


def operations(described: Json) -> Iterator[tuple[str, str, Json]]:
    """Iterate over path, method and operation."""
    for template, item in described["paths"].items():
        for method, operation in item.items():
            yield template, method, operation


def undocumented(routed: Iterable[Route], described: Json) -> set[tuple[str, str]]:
    """Return what is routed and not documented, or documented and not routed."""
    paths = {(method, template) for template, method, _ in operations(described)}
    expected = set()
    for route in routed:
        method = route.method.lower()
        expected |= {(method, _filled(route.template, v.values)) for v in route.variants}
        if not route.variants:
            expected.add((method, route.template))
    return expected ^ paths


def _filled(template: str, values: Any) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template)


def walk(tree: Any) -> Iterator[Json]:
    """Iterate over all objects of a JSON tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from walk(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from walk(value)
