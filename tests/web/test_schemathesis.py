"""Schemathesis against a running gateway: no 5xx and no undocumented answer.

Schemathesis makes up what the document describes, and what it forbids. Hardly any of that adds
up to an order, so a third series bends true orders.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.runtime.settings import Account
from loadtest.orders import order
from ops.harness.ports import free_port
from tests.support.patience import HANG_S
from tests.support.payers import Payers
from tests.support.processes import Processes
from tests.web.support import edited

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
BRIEFLY = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
PROVIDERS = ("stripe", "standard_webhooks", "alipay")


@pytest.fixture
def accounts(tmp_path: Path) -> list[Account]:
    return Payers(tmp_path).settings


@pytest.fixture
def port(processes: Processes) -> int:
    chosen = free_port()
    processes.serve(port=chosen)
    return chosen


@pytest.fixture
def session(processes: Processes, port: int) -> Iterator[requests.Session]:
    token = asyncio.run(processes.make_token("ingest", "query", "query_pii"))
    with requests.Session() as opened:
        opened.headers["Authorization"] = f"Bearer {token}"
        yield opened


@pytest.fixture
def schema(port: int) -> BaseSchema:
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    # Endless answers have tests of their own.
    return document.exclude(path="/v1/stream")


def _operations(schema: BaseSchema) -> Iterator[APIOperation[Any, Any, Any, Any]]:
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        yield result.ok()


def test_generated_requests_get_documented_answers(
    schema: BaseSchema, session: requests.Session
) -> None:
    seen: Counter[str] = Counter()
    for operation in _operations(schema):
        for mode in MODES:
            seen.update(_statuses(operation, mode, session))
    # Valid and invalid requests reached the handlers.
    assert {"200", "400", "404", "422"} <= set(seen)
    assert sum(seen.values()) > 200


def test_generated_requests_for_stored_orders_do_too(
    schema: BaseSchema, session: requests.Session, port: int
) -> None:
    placed = session.post(f"http://127.0.0.1:{port}/v1/orders", json=order(1, prefix="there"))
    assert placed.status_code == 201
    there = {"id": placed.json()["id"]}
    for template in ("/v1/orders/{id}", "/v1/orders/{id}/events"):
        seen = _statuses(schema[template]["GET"], GenerationMode.POSITIVE, session, there)
        assert set(seen) == {"200"}
    remark = schema["/v1/orders/{id}/remark"]["PATCH"]
    right = _statuses(remark, GenerationMode.POSITIVE, session, there)
    assert right["200"]
    assert set(right) <= {"200", "412", "422"}
    wrong = _statuses(remark, GenerationMode.NEGATIVE, session, there)
    assert wrong["422"]
    for provider in PROVIDERS:
        callback = schema[f"/v1/callbacks/{provider}/{{account}}"]["POST"]
        for mode in MODES:
            seen = _statuses(callback, mode, session, {"account": "main"})
            assert set(seen) <= {"400", "401"}


def _statuses(
    operation: APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    session: requests.Session,
    path: dict[str, str] | None = None,
) -> Counter[str]:
    """Send generated requests of an operation, check the answers, and count them by status."""
    seen: Counter[str] = Counter()

    @BRIEFLY
    @given(case=operation.as_strategy(mode, path_parameters=path))
    def send(case: schemathesis.Case[Any]) -> None:
        response = case.call(session=session, timeout=HANG_S)
        seen[str(response.status_code)] += 1
        case.validate_response(response, checks=CHECKS)

    # Where nothing can be invalid, nothing invalid can be generated.
    with contextlib.suppress(Unsatisfiable):
        send()
    return seen


_odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, 2**64, 10**400, -(10**30)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.text(st.characters(max_codepoint=32), max_size=5),
    st.decimals(allow_nan=True).map(str),
    st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
)


#: Where a value stands in every order, and what holds no other of these places.
_LEAVES = [
    ("channel",), ("order_no",), ("buyer_id",), ("placed_at",), ("currency",), ("remark",),
    ("is_test",), ("attributes",), ("items", 0, "sku"), ("items", 0, "name"),
    ("items", 0, "quantity"), ("items", 0, "unit_price"), ("amounts", "goods"),
    ("amounts", "payable"), ("amounts", "freight"), ("recipient", "name"), ("recipient", "phone"),
    ("recipient", "country"), ("recipient", "province"), ("recipient", "city"),
    ("recipient", "district"), ("recipient", "street"), ("recipient", "postcode"),
    ("recipient", "id_number"),
]  # fmt: skip


@st.composite
def _bent(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid order with up to two of its values replaced."""
    true = order(draw(st.integers(0, 10**7)), prefix="bent", attributes={"a": 1}, is_test=True)
    bent = true
    for path in draw(st.lists(st.sampled_from(_LEAVES), max_size=2, unique=True)):
        bent = edited(bent, path, draw(_odd))
    return bent


def test_mutated_orders_are_placed_or_get_their_fault(
    port: int, session: requests.Session, schema: BaseSchema
) -> None:
    submit = schema["/v1/orders"]["POST"]
    seen: Counter[int] = Counter()

    @settings(BRIEFLY, max_examples=400)
    @given(sent=_bent())
    def send(sent: dict[str, Any]) -> None:
        response = session.post(
            f"http://127.0.0.1:{port}/v1/orders",
            data=json.dumps(sent),
            headers={"Content-Type": "application/json"},
            timeout=HANG_S,
        )
        seen[response.status_code] += 1
        submit.validate_response(response)
        assert response.status_code in (200, 201, 400, 409, 422)
        if response.status_code in (200, 201):
            shown = session.get(f"http://127.0.0.1:{port}{response.headers['Location']}")
            assert shown.status_code == 200

    send()
    assert seen[201] > 50
    assert seen[422] > 50
