"""The OpenAPI document beside the gateway: every route is in it, and answers are as it says."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from gateway.web.problem_kinds import KINDS
from tests.support.site import Site
from tests.web import documents
from tests.web.support import Answer, Wire, edited, order, order_bytes


@pytest.fixture
async def document(wire: Wire) -> dict[str, Any]:
    answer = await wire.ask("GET", "/openapi.json", has_key=False)
    loaded: dict[str, Any] = answer.json
    return loaded


async def test_every_route_is_documented_and_every_documented_path_is_routed(
    site: Site, document: dict[str, Any]
) -> None:
    assert documents.undocumented(site.server._router.routes, document) == set()


async def test_every_documented_path_answers(wire: Wire, document: dict[str, Any]) -> None:
    for template, method, _ in documents.operations(document):
        answer = await wire.ask(method.upper(), re.sub(r"\{\w+\}", "x", template))
        # The detail for a path without a route.
        assert b"see /openapi.json" not in answer.body, (method, template)
        assert answer.status != 405


def _conforms(document: dict[str, Any], template: str, method: str, answer: Answer) -> str:
    """Return how an answer differs from its documentation, or an empty text."""
    responses = document["paths"][template][method]["responses"]
    response = responses.get(str(answer.status))
    if response is None:
        return f"{answer.status} is not documented"
    kind = answer.headers["content-type"].partition(";")[0]
    if kind not in response["content"]:
        return f"{answer.status} as {kind} is not documented"
    if "json" not in kind:
        return ""
    schema = response["content"][kind]["schema"]
    bundle = {"components": document["components"], "allOf": [schema]}
    errors = jsonschema_rs.Draft202012Validator(bundle).iter_errors(answer.json)
    return "; ".join(str(error) for error in errors)


async def test_answers_are_as_documented(site: Site, wire: Wire, document: dict[str, Any]) -> None:
    sent = order(recipient={"id_number": "110101199003071234"}, attributes={"a": [1, {"b": None}]})
    body = json.dumps(sent).encode()
    other = Wire(wire.host, wire.port, await site.token_for("operate"))
    orders, one, history = "/v1/orders", "/v1/orders/{id}", "/v1/orders/{id}/events"
    callbacks, remark = "/v1/callbacks/stripe/{account}", "/v1/orders/{id}/remark"
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
        (callbacks, "post", await wire.ask("POST", "/v1/callbacks/stripe/x", b"")),
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
        ("/docs", "get", await wire.ask("GET", "/docs")),
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
