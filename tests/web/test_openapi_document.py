"""Both OpenAPI documents: valid, complete, and such that generators of clients read them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from gateway.providers import registry
from gateway.web.openapi.schemas import Schemas, portable
from gateway.web.request import Request
from gateway.web.response import Response
from gateway.web.routing import Answer, Route
from tests.support.patience import HANG_S
from tests.web import documents
from tests.web.documents import Json

BOTH = {"clients": documents.of_clients(), "operators": documents.of_operators()}
each = pytest.mark.parametrize("described", BOTH.values(), ids=BOTH)


@each
def test_a_document_is_valid_openapi_3_1(described: Json) -> None:
    assert described["openapi"].startswith("3.1.")
    errors = jsonschema_rs.validator_for(OPENAPI_31).iter_errors(described)
    assert [str(error) for error in errors] == []
    for name, schema in described["components"]["schemas"].items():
        bundle = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        jsonschema_rs.meta.validate(schema)
        jsonschema_rs.Draft202012Validator(bundle)


@each
def test_no_description_stands_beside_a_nullable_plain_type(described: Json) -> None:
    """A generator for Go makes every mention of the type nullable then."""
    for schema in documents.walk(described["components"]["schemas"]):
        if "anyOf" in schema and "description" in schema:
            assert not any("type" in one and one["type"] != "null" for one in schema["anyOf"])


def test_every_route_is_described_and_nothing_else_is() -> None:
    assert documents.undocumented(documents.client_routes(), BOTH["clients"]) == set()
    assert documents.undocumented(documents.operator_routes(), BOTH["operators"]) == set()


def test_a_route_that_is_not_described_would_be_noticed() -> None:
    async def secret(_: Request) -> Response:
        return Response(200)

    routes = documents.client_routes()
    hidden = Route(
        method="GET", template="/v1/secret/{id}", name="secret", handler=secret, role=None,
        operation="getSecret", tag="Orders", summary="?", answers=[Answer(200, "?")],
    )  # fmt: skip
    described = BOTH["clients"]
    assert documents.undocumented([*routes, hidden], described) == {("get", "/v1/secret/{id}")}
    assert documents.undocumented(routes[1:], described) == {("post", "/v1/orders")}


def _patterns(described: Json) -> set[str]:
    """Return the patterns of all schemas; a property may be called pattern too."""
    found = (node.get("pattern") for node in documents.walk(described))
    return {pattern for pattern in found if isinstance(pattern, str)}


PATTERNS = sorted(set().union(*map(_patterns, BOTH.values())))


def test_there_are_patterns() -> None:
    assert {"^[!-~]+$", "^[A-Z]{2}$", "^[A-Z]{3}$"} <= set(PATTERNS)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_one_that_every_engine_compiles(pattern: str) -> None:
    assert portable(pattern) == pattern
    # Rust's regex, without what its bigger brother adds.
    jsonschema_rs.Draft202012Validator(
        {"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions()
    )


@pytest.mark.parametrize(
    "pattern",
    [r"^a(?!b)", r"(?=a)b", r"(?<=a)b", r"(?<!a)b", r"(a)\1", r"(?P<x>a)", r"(?P=x)", r"a\Z"],
)
def test_a_pattern_that_is_not_portable_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="not every client can compile"):
        portable(pattern)


def test_a_pattern_of_ours_says_the_same_without_its_look_ahead() -> None:
    assert portable(r"^[A-Z]{2}$(?!\n)") == "^[A-Z]{2}$"
    schema = jsonschema_rs.Draft202012Validator({"pattern": "^[A-Z]{2}$"})
    assert schema.is_valid("CN")
    assert not schema.is_valid("CN\n")


@pytest.mark.servers
def test_go_compiles_every_pattern(tmp_path: Path) -> None:
    """Go's regexp is RE2's syntax."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain: nothing here compiles RE2 patterns")
    program = tmp_path / "main.go"
    lines = "\n".join(f"\tregexp.MustCompile({_go_text(pattern)})" for pattern in PATTERNS)
    program.write_text(f'package main\n\nimport "regexp"\n\nfunc main() {{\n{lines}\n}}\n', "utf-8")
    done = subprocess.run(
        [go, "run", str(program)], capture_output=True, text=True, timeout=HANG_S * 3, check=False
    )
    assert done.returncode == 0, done.stderr


def _go_text(pattern: str) -> str:
    assert "`" not in pattern
    return f"`{pattern}`"


@each
def test_no_media_type_is_any(described: Json) -> None:
    kinds = {kind for node in documents.walk(described) for kind in node.get("content", {})}
    assert kinds
    assert not [kind for kind in kinds if "*" in kind]


def test_callbacks_are_described_in_the_providers_format() -> None:
    for name, provider in registry.PROVIDERS.items():
        operation = BOTH["clients"]["paths"][f"/v1/callbacks/{name}/{{account}}"]["post"]
        assert set(operation["requestBody"]["content"]) == set(provider.body_types)
        for reply in provider.replies.values():
            content = operation["responses"][str(reply.status)]["content"]
            assert reply.content_type.partition(";")[0] in content, (name, reply.status)
        assert operation["security"] == []


def test_forms_are_described_as_forms() -> None:
    """Not only as the registry says it: three providers are known to send forms."""
    for name in ("alipay", "unionpay", "kuaidi100"):
        operation = BOTH["clients"]["paths"][f"/v1/callbacks/{name}/{{account}}"]["post"]
        assert list(operation["requestBody"]["content"]) == ["application/x-www-form-urlencoded"]


@each
def test_operations_have_what_generators_and_readers_need(described: Json) -> None:
    ids = []
    tags = {tag["name"] for tag in described["tags"]}
    assert all(tag["description"] for tag in described["tags"])
    used = set()
    for template, _, operation in documents.operations(described):
        ids.append(operation["operationId"])
        assert re.fullmatch(r"[a-z][A-Za-z0-9]+", operation["operationId"])
        (tag,) = operation["tags"]
        used.add(tag)
        assert operation["summary"]
        in_path = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", template)
        assert all(p["description"] for p in operation.get("parameters", ()))
        if operation["security"]:
            assert {"401", "403"} <= set(operation["responses"])
            assert "Requires the role" in operation["description"]
    assert len(set(ids)) == len(ids)
    assert used == tags


@each
def test_the_security_scheme_is_described(described: Json) -> None:
    (scheme,) = described["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert "tidegate keys create" in scheme["description"]


@each
def test_errors_are_problem_documents(described: Json) -> None:
    for template, method, operation in documents.operations(described):
        for status, response in operation["responses"].items():
            problem = response.get("content", {}).get("application/problem+json")
            if problem is not None:
                assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert int(status) >= 400
            elif int(status) >= 400:
                # A provider's reply, or the parts that are not ready.
                assert template.startswith("/v1/callbacks/") or template == "/readyz", method


def _headers(operation: Json, status: str) -> set[str]:
    """Return the headers of an answer beside the one that all have."""
    headers = dict(operation["responses"][status]["headers"])
    assert headers.pop("X-Request-Id") == {"$ref": "#/components/headers/RequestId"}
    return set(headers)


def test_headers_of_answers_are_described() -> None:
    paths = BOTH["clients"]["paths"]
    submit = paths["/v1/orders"]["post"]
    assert _headers(submit, "200") == {"Location", "Idempotency-Replayed"}
    assert _headers(submit, "201") == {"Location"}
    assert _headers(submit, "202") == {"Location", "Idempotency-Replayed"}
    assert _headers(submit, "429") == _headers(submit, "503") == {"Retry-After"}
    assert _headers(submit, "401") == {"WWW-Authenticate"}
    for template in ("/v1/orders", "/v1/orders/{id}", "/v1/orders/{id}/events"):
        assert _headers(paths[template]["get"], "200") == {"Age"}
    for template in ("/docs", "/openapi.json"):
        assert "ETag" in _headers(paths[template]["get"], "304")


def test_the_server_is_where_the_document_is_unless_an_address_is_configured() -> None:
    assert [each["url"] for each in BOTH["clients"]["servers"]] == ["/"]
    elsewhere = documents.of_clients(server="https://orders.example/gate")
    assert [each["url"] for each in elsewhere["servers"]] == ["https://orders.example/gate"]


@each
def test_every_reference_has_its_target_and_every_schema_is_used(described: Json) -> None:
    references = {node["$ref"] for node in documents.walk(described) if "$ref" in node}
    assert references == {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "headers")
        for name in described["components"][kind]
    }


def test_a_document_says_what_it_covers() -> None:
    assert "/v1/admin" in BOTH["clients"]["info"]["description"]
    assert not [path for path in BOTH["clients"]["paths"] if path.startswith("/v1/admin")]
    assert "operators' listener" in BOTH["operators"]["info"]["description"]


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ("199.00", True), ("0", True), ("999999999999.999", True), ("0.000000000000000001", True),
        ("-1", False), ("1e3", False), ("", False), (".5", False), ("1.", False), ("NaN", False),
        ("1234567890123", False), ("199.00\n", False), (199.0, False),
    ],
)  # fmt: skip
def test_money_is_text_in_digits(text: object, is_valid: bool) -> None:
    """No format: openapi-generator makes a float of the format decimal in Go."""
    for name in ("goods", "payable", "freight"):
        money = BOTH["clients"]["components"]["schemas"]["Amounts"]["properties"][name]
        assert (money["type"], money.get("format")) == ("string", None)
        assert jsonschema_rs.Draft202012Validator(money).is_valid(text) is is_valid


def test_values_that_are_no_schema_stay_as_they_are() -> None:
    """An example may have a key that is a keyword."""
    examples = [{"pattern": r"a(?!b)", "enum": ["x"], "type": "object"}]
    schema: dict[str, Any] = {"type": "object", "properties": {}, "examples": examples}
    assert Schemas([], named={}).of(schema) == schema


@pytest.mark.parametrize(
    ("schema", "name", "says"),
    [
        ("Item", "tax", "share of `amounts.tax`"),
        ("Amounts", "tax", "All tax of the order"),
        ("Amounts", "tax_included", "the prices contain"),
        ("SubmittedPayment", "amount", "all that is payable"),
        ("Submission", "payment", "paid already"),
        ("Submission", "platform_state", "platform's own word"),
        ("Submission", "recipient", "unless the channel"),
    ],
)
def test_a_field_that_may_be_left_out_says_what_it_means(schema: str, name: str, says: str) -> None:
    """Money has a text of its own, which must not take the place of this one."""
    field = BOTH["clients"]["components"]["schemas"][schema]["properties"][name]
    # Of a nullable plain type it stands with the type.
    assert says in (field.get("description") or field["anyOf"][0]["description"])
    examples = field.get("examples", [])
    assert len(examples) == len(set(examples))
