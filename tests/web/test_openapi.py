"""The OpenAPI document: valid, complete, and consistent with the real answers."""

import json
import re
from collections.abc import Sequence
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from gateway.web.dispatcher import Router
from gateway.web.problem_kinds import KINDS
from gateway.web.request import Request
from gateway.web.response import Response
from gateway.web.routing import Answer as Documented
from gateway.web.routing import Route
from tests.support.site import Site
from tests.web.support import Answer, Wire, edited, order, order_bytes


@pytest.fixture
async def document(wire: Wire) -> dict[str, Any]:
    answer = await wire.ask("GET", "/openapi.json", has_key=False)
    loaded: dict[str, Any] = answer.json
    return loaded


def _undocumented(routes: Sequence[Route], document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return what is routed and not documented, or documented and not routed."""
    routed = {(route.method.lower(), route.template) for route in routes}
    documented = {
        (method, template) for template, item in document["paths"].items() for method in item
    }
    return routed ^ documented


async def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    errors = jsonschema_rs.validator_for(OPENAPI_31).iter_errors(document)
    assert [str(error) for error in errors] == []
    for name, schema in document["components"]["schemas"].items():
        bundle = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.meta.validate(schema)
        jsonschema_rs.Draft202012Validator(bundle)


async def test_every_route_is_documented_and_every_documented_path_is_routed(
    site: Site, document: dict[str, Any]
) -> None:
    assert _undocumented(site.server._router.routes, document) == set()


async def test_a_route_that_is_not_documented_would_be_noticed(
    site: Site, document: dict[str, Any]
) -> None:
    async def secret(_: Request) -> Response:
        return Response(200)

    routes = [
        *site.server._router.routes,
        Route(
            method="GET", template="/v1/secret/{id}", name="secret", handler=secret, role=None,
            summary="?", answers=[Documented(200, "?")],
        ),
    ]  # fmt: skip
    assert _undocumented(Router(routes).routes, document) == {("get", "/v1/secret/{id}")}
    assert _undocumented(routes[1:-1], document) == {("post", "/v1/orders")}


async def test_every_documented_path_answers(wire: Wire, document: dict[str, Any]) -> None:
    for template, item in document["paths"].items():
        path = re.sub(r"\{\w+\}", "x", template)
        for method in item:
            answer = await wire.ask(method.upper(), path)
            # The detail for a path without a route.
            assert b"see /openapi.json" not in answer.body, (method, template)
            assert answer.status != 405


async def test_operations_have_a_summary_and_their_role(document: dict[str, Any]) -> None:
    ids = set()
    for template, item in document["paths"].items():
        for operation in item.values():
            ids.add(operation["operationId"])
            assert operation["summary"]
            in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", template))
            if operation["security"]:
                assert {"401", "403"} <= set(operation["responses"])
                assert "Requires the role" in operation["description"]
    assert len(ids) == sum(len(item) for item in document["paths"].values())


def _conforms(document: dict[str, Any], template: str, method: str, answer: Answer) -> str:
    """Return how an answer differs from its documentation, or an empty text."""
    responses = document["paths"][template][method]["responses"]
    response = responses.get(str(answer.status))
    if response is None:
        return f"{answer.status} is not documented"
    kind = answer.headers["content-type"].partition(";")[0]
    content = response["content"]
    if kind not in content and "*/*" not in content:
        return f"{answer.status} as {kind} is not documented"
    schema = content.get(kind, {}).get("schema")
    if schema is None:
        return ""
    bundle = {"components": document["components"], "allOf": [schema]}
    errors = jsonschema_rs.Draft202012Validator(bundle).iter_errors(answer.json)
    return "; ".join(str(error) for error in errors)


async def test_answers_are_as_documented(site: Site, wire: Wire, document: dict[str, Any]) -> None:
    sent = order(recipient={"id_number": "110101199003071234"}, attributes={"a": [1, {"b": None}]})
    body = json.dumps(sent).encode()
    other = Wire(wire.host, wire.port, await site.token_for("operate"))
    orders, one, history = "/v1/orders", "/v1/orders/{id}", "/v1/orders/{id}/events"
    callbacks, remark = "/v1/callbacks/{provider}/{account}", "/v1/orders/{id}/remark"
    placed = await wire.submit(body, {"Idempotency-Key": "openapi"})
    path = placed.headers["location"]
    masked = Wire(wire.host, wire.port, await site.token_for("query"))
    got = [
        (orders, "post", placed),
        (orders, "post", await wire.submit(body)),
        (orders, "post", await wire.submit(json.dumps(sent | {"remark": "x"}).encode())),
        (orders, "post", await wire.submit(order_bytes(), {"Idempotency-Key": "openapi"})),
        (orders, "post", await wire.submit(json.dumps(edited(sent, ["items"], [1])).encode())),
        (orders, "post", await wire.submit(order_bytes(), {"Content-Type": "text/plain"})),
        (orders, "post", await wire.submit(b"{")),
        (orders, "post", await wire.submit(b" " * 300_000)),
        (orders, "post", await wire.submit(body, has_key=False)),
        (orders, "post", await other.submit(body)),
        (orders, "get", await wire.ask("GET", "/v1/orders?limit=3")),
        (orders, "get", await masked.ask("GET", "/v1/orders")),
        (orders, "get", await wire.ask("GET", "/v1/orders?limit=0")),
        (orders, "get", await wire.ask("GET", "/v1/orders?order_no=%ff")),
        (orders, "get", await wire.ask("GET", "/v1/orders", has_key=False)),
        (orders, "get", await other.ask("GET", "/v1/orders")),
        (one, "get", await wire.ask("GET", path)),
        (one, "get", await masked.ask("GET", path)),
        (one, "get", await wire.ask("GET", "/v1/orders/x")),
        (history, "get", await wire.ask("GET", f"{path}/events")),
        (history, "get", await wire.ask("GET", "/v1/orders/x/events")),
        (callbacks, "post", await wire.ask("POST", "/v1/callbacks/a/b", b"")),
        *[
            (remark, "patch", await wire.ask("PATCH", f"{where}/remark", sent_, headers))
            for where, sent_, headers in (
                (path, b'{"remark":"a"}', {}),
                (path, b'{"remark":null}', {"If-Match": '"2"'}),
                (path, b'{"remark":"b"}', {"If-Match": '"2"'}),
                (path, b'{"remark":"b"}', {"If-Match": "2"}),
                (path, b'{"remark":"b"}', {"Content-Type": "text/plain"}),
                (path, b"{", {}),
                (path, b"{}", {}),
                (path, b" " * 20_000, {}),
                ("/v1/orders/x", b'{"remark":"b"}', {}),
            )
        ],
        (remark, "patch", await masked.ask("PATCH", f"{path}/remark", b'{"remark":"b"}')),
        (remark, "patch", await wire.ask("PATCH", f"{path}/remark", has_key=False)),
        ("/healthz", "get", await wire.ask("GET", "/healthz")),
        ("/readyz", "get", await wire.ask("GET", "/readyz")),
        ("/metrics", "get", await wire.ask("GET", "/metrics")),
        ("/openapi.json", "get", await wire.ask("GET", "/openapi.json")),
    ]
    faults = {
        (template, method, answer.status): fault
        for template, method, answer in got
        if (fault := _conforms(document, template, method, answer))
    }
    assert faults == {}
    statuses = {(template, method, answer.status) for template, method, answer in got}
    assert {status for _, _, status in statuses} == {
        200, 201, 400, 401, 403, 404, 409, 412, 413, 415, 422,
    }  # fmt: skip


async def test_the_handler_accepts_what_the_schema_allows(document: dict[str, Any]) -> None:
    reference = {"$ref": "#/components/schemas/Submission", "components": document["components"]}
    schema = jsonschema_rs.Draft202012Validator(reference)
    assert schema.is_valid(order())
    item = document["components"]["schemas"]["Item"]
    assert item["additionalProperties"] is False
    assert set(item["required"]) == {"sku", "name", "quantity", "unit_price"}
    for wrong in (
        edited(order(), ["gift"], True),
        edited(order(), ["items"], []),
        edited(order(), ["items", 0, "quantity"], 0),
        edited(order(), ["recipient", "country"], "china"),
        edited(order(), ["currency"], "rmb"),
    ):
        assert not schema.is_valid(wrong)


async def test_the_handler_accepts_remarks_that_the_schema_allows(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/orders/{id}/remark"]["patch"]
    assert "`ingest`" in operation["description"]
    (in_path, if_match) = operation["parameters"]
    assert (in_path["in"], if_match["in"], if_match["name"]) == ("path", "header", "If-Match")
    for value, is_valid in (('"1"', True), ("1", False), ('W/"1"', False), ('"0"', False)):
        assert jsonschema_rs.Draft202012Validator(if_match["schema"]).is_valid(value) is is_valid
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.Draft202012Validator(
        {"components": document["components"], "allOf": [schema]}
    )
    for body, is_valid in (
        ({"remark": "a"}, True), ({"remark": None}, True), ({"remark": "x" * 1024}, True),
        ({"remark": "x" * 1025}, False), ({"remark": 1}, False), ({}, False),
        ({"remark": "a", "x": 1}, False),
    ):  # fmt: skip
        assert validator.is_valid(body) is is_valid, body


async def test_problems_have_one_of_the_listed_types(wire: Wire) -> None:
    for path in ("/nowhere", "/v1/orders/x", "/v1/orders?limit=x"):
        answer = await wire.ask("GET", path)
        kind = answer.json["type"].removeprefix("/problems/")
        assert (answer.status, answer.json["title"]) == KINDS[kind][:2]
