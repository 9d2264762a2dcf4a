"""Every refusal is a problem document: type, title, status, detail, and the field at fault.

The one exception are callbacks of configured accounts, whose providers prescribe their replies.
"""

import asyncio
import gzip
import json
import socket
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.runtime import settings as configuration
from gateway.runtime.settings import Settings
from gateway.web import process, wiring
from gateway.web.problem_kinds import KINDS
from tests.support import simulated
from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web.support import Answer, Wire, order_bytes, read_answer
from tests.web.test_early_rejection import full

_ID = uuid.UUID(int=1)
_ORDER = "/v1/orders"
_REMARK = f"/v1/orders/{_ID}/remark"
_CALLBACK = "/v1/callbacks/stripe/main"
_MODE = "/v1/admin/modes/order_lists"
_PLAN = "/v1/admin/plans/sale"
_CLOSE = ("Connection", "close")
_GZIP = ("Content-Encoding", "gzip")


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    return [each for each in simulated.configured(tmp_path) if each.provider == "stripe"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, body_s=0.3)


@pytest.fixture
async def operators(site: Site) -> AsyncIterator[Wire]:
    server = wiring.build_admin_server(site.gateway, accounts=site.accounts)
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    served = process.open_listener(server, listener, site.gateway)
    yield Wire(host, port, await site.token_for("operate"))
    server.pre_shutdown()
    await server.shutdown(2.0)
    served.close()


def _check(answer: Answer, kind: str, fields: Sequence[str] = ()) -> None:
    status, title = KINDS[kind][:2]
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json", answer
    problem = answer.json
    assert (problem["type"], problem["title"], problem["status"]) == (
        f"/problems/{kind}", title, status,
    ), answer  # fmt: skip
    assert len(problem["detail"]) > 10, answer
    assert answer.fields == list(fields), answer
    assert all(len(error["reason"]) > 5 for error in problem.get("errors", [])), answer


def _of_bodies(method: str, path: str, limit: int) -> list[Any]:
    """Return what is wrong with a body anywhere."""
    large = b" " * (limit + 1)
    body = "body"
    json_ = ("Content-Type", "application/json")
    return [
        (method, path, b"", [], "malformed", [body]),
        (method, path, None, [], "malformed", [body]),
        (method, path, b'{"a":', [], "malformed", [body]),
        (method, path, b'{"a":"\xff"}', [], "malformed", [body]),
        (method, path, b"[" * 5000, [], "malformed", [body]),
        (method, path, b"[]", [], "invalid", [body]),
        (method, path, b"{}", [("Content-Type", "text/xml")], "unsupported-media-type",
         ["Content-Type"]),
        (method, path, b"{}", [json_, ("Content-Encoding", "br")], "unsupported-media-type",
         ["Content-Encoding"]),
        (method, path, b"{}", [_GZIP], "malformed", [body]),
        (method, path, gzip.compress(large), [_GZIP], "too-large", [body]),
        (method, path, large, [], "too-large", [body]),
    ]  # fmt: skip


_REFUSALS: list[Any] = [
    ("GET", "/nowhere", None, [], "not-found", []),
    ("GET", f"/v1/orders/{_ID}", None, [], "not-found", []),
    ("GET", "/v1/orders/x", None, [], "not-found", []),
    ("GET", f"/v1/orders/{_ID}/events", None, [], "not-found", []),
    ("PATCH", _REMARK, b'{"remark":"x"}', [], "not-found", []),
    ("PATCH", _REMARK, b'{"remark":"x"}', [("If-Match", "1")], "malformed", ["If-Match"]),
    ("PATCH", _REMARK, b"{}", [("If-Match", '"1"')] * 2, "malformed", ["If-Match"]),
    ("PATCH", _REMARK, b'{"remark":1,"x":2}', [], "invalid", ["remark", "x"]),
    ("POST", _ORDER, b"{}", [("Idempotency-Key", "")], "malformed", ["Idempotency-Key"]),
    ("POST", _ORDER, b"{}", [("Idempotency-Key", "a")] * 2, "malformed", ["Idempotency-Key"]),
    ("POST", _ORDER, order_bytes(channel="nowhere"), [], "invalid", ["channel"]),
    ("GET", "/v1/orders?limit=0&status=x", None, [], "invalid", ["status", "limit"]),
    ("GET", "/v1/orders?lmit=1&limit=0", None, [], "invalid", ["lmit", "limit"]),
    ("GET", "/v1/orders?limit=0&limit=1&status=", None, [], "invalid",
     ["limit", "status", "limit"]),
    ("GET", "/v1/orders?phone=&channel=a%00&is_test=x", None, [], "invalid",
     ["channel", "phone", "is_test"]),
    ("GET", "/v1/orders/export?bom=x&limit=5&status=y", None, [], "invalid",
     ["limit", "bom", "status"]),
    ("GET", "/v1/orders?limt=1&x=2&status=paid&status=paid", None, [], "invalid",
     ["limt", "x", "status"]),
    ("GET", "/v1/orders?a=%ff", None, [], "malformed", ["query"]),
    ("GET", "/v1/orders/export?bom=1", None, [], "invalid", ["bom"]),
    ("GET", "/v1/stream?x=1", None, [], "invalid", ["x"]),
    *_of_bodies("POST", _ORDER, 256 * 1024),
    *_of_bodies("PATCH", _REMARK, 16 * 1024),
    # Callbacks: what no provider's protocol prescribes.
    ("POST", "/v1/callbacks/stripe/nobody", b"{}", [], "not-found", ["account"]),
    ("POST", "/v1/callbacks/unknown/main", b"{}", [], "not-found", ["account"]),
    ("POST", _CALLBACK, b"{}", [_GZIP], "unsupported-media-type", ["Content-Encoding"]),
    ("POST", _CALLBACK, b" " * (64 * 1024 + 1), [], "too-large", ["body"]),
]  # fmt: skip


@pytest.mark.parametrize(
    "refusal", _REFUSALS, ids=[f"{n} {r[0]} {r[1]} {r[4]}" for n, r in enumerate(_REFUSALS)]
)
async def test_a_refusal_is_a_problem_document(wire: Wire, refusal: Any) -> None:
    method, path, body, headers, kind, fields = refusal
    _check(await wire.ask(method, path, body, headers), kind, fields)


async def test_so_are_those_of_operators(operators: Wire) -> None:
    for method, path, body, headers, kind, fields in (
        ("GET", "/nowhere", None, [], "not-found", []),
        ("PUT", "/v1/admin/modes/nothing", b'{"mode":"shed","reason":"x"}', [], "not-found", []),
        ("PUT", _MODE, b'{"mode":"dim","for_s":0}', [], "invalid", ["mode", "reason", "for_s"]),
        ("PUT", _MODE, b'{"mode":"shed","reason":""}', [], "invalid", ["reason"]),
        ("PUT", _PLAN, b'{"steps":[{}]}', [], "invalid",
         [f"steps[0].{each}" for each in ("target", "mode", "from_at", "until", "reason")]),
        ("PUT", _PLAN, b'{"steps":[]}', [], "invalid", ["steps"]),
        ("POST", f"{_MODE}/agreement", None, [], "not-found", []),
        ("DELETE", _PLAN, None, [], "not-found", []),
        *_of_bodies("PUT", _MODE, 64 * 1024),
        *_of_bodies("PUT", _PLAN, 64 * 1024),
    ):  # fmt: skip
        _check(await operators.ask(method, path, body, headers), kind, fields)


async def test_every_route_refuses_other_methods_and_keys_alike(
    site: Site, wire: Wire, operators: Wire
) -> None:
    reader = Wire(site.host, site.port, await site.token_for("query"))
    submitter = Wire(site.host, site.port, await site.token_for("ingest"))
    for own, server in (
        (wire, site.server),
        (operators, wiring.build_admin_server(site.gateway, accounts=site.accounts)),
    ):
        for route in server._router.routes:
            path = route.template.replace("{id}", str(_ID)).replace("{target}", "order_lists")
            path = path.replace("{provider}", "stripe").replace("{account}", "main")
            path = path.replace("{name}", "sale")
            for method in ("OPTIONS", "TRACE", "PROPFIND"):
                answer = await own.ask(method, path)
                _check(answer, "method-not-allowed")
                assert route.method in answer.headers["allow"]
            if route.role is None:
                continue
            for key in ([], [("Authorization", "Bearer tg_x")]):
                answer = await own.ask(route.method, path, b"{}", key, has_key=False)
                _check(answer, "unauthorised", ["Authorization"])
                assert answer.headers["www-authenticate"].startswith("Bearer")
            other = Wire(own.host, own.port, reader.token)
            if route.role == "query":
                other = Wire(own.host, own.port, submitter.token)
            _check(await other.ask(route.method, path, b"{}"), "forbidden")


async def test_a_browsers_preflight_is_told_that_the_api_is_for_servers(wire: Wire) -> None:
    preflight = [
        ("Origin", "https://shop.example"), ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    ]  # fmt: skip
    answer = await wire.ask("OPTIONS", _ORDER, None, preflight, has_key=False)
    _check(answer, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert "called by servers only" in answer.json["detail"]
    for each in (answer, await wire.ask("GET", _ORDER, None, preflight)):
        assert not [name for name in each.headers if name.startswith("access-control")]
    # Another wrong method is no browser's question.
    assert "servers" not in (await wire.ask("TRACE", _ORDER)).json["detail"]


@pytest.mark.parametrize("path", [_ORDER, _REMARK, _CALLBACK])
@pytest.mark.parametrize("how", ["slow", "short"])
async def test_a_body_that_does_not_arrive_is_a_problem_document(
    wire: Wire, path: str, how: str
) -> None:
    method = "PATCH" if path == _REMARK else "POST"
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(wire.request(method, path, b"{", [("Content-Length", "9")], has_length=False))
    if how == "short":
        writer.write_eof()
    async with asyncio.timeout(HANG_S):
        answer = await read_answer(reader)
    writer.close()
    if answer is None:
        # A client that stopped sending within its body gets no answer: it left.
        assert how == "short"
        return
    _check(answer, "slow-body" if how == "slow" else "malformed", ["body"])


_HEADS = {
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", "malformed", ["Host"]),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "malformed", ["Host"]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00" + bytes(64), "malformed", []),
    "words": (b"hello world\r\n\r\n", "malformed", []),
    "a length that is none": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n", "malformed", [],
    ),
    "length and chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "malformed", [],
    ),
    "a secret in a broken header": (
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: tg_secret\0\r\n\r\n", "malformed", [],
    ),
    "a long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "uri-too-long", []),
    "an endless target": (b"GET /" + b"a" * 200_000, "uri-too-long", []),
    "a long header": (
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n", "headers-too-large", [],
    ),
    "many headers": (
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: a\r\n" * 65 + b"\r\n", "headers-too-large", [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", _HEADS)
async def test_a_head_that_is_not_http_is_a_problem_document(wire: Wire, name: str) -> None:
    sent, kind, fields = _HEADS[name]
    (answer,) = await wire.answers(sent)
    _check(answer, kind, fields)
    assert "tg_secret" not in str(answer.json)
    assert answer.headers["connection"] == "close"


async def test_chunks_that_are_none_are_a_problem_document(wire: Wire) -> None:
    head = wire.request("POST", _ORDER, None, [("Transfer-Encoding", "chunked"), _CLOSE])
    answers = await wire.answers(head + b"zz\r\n{}\r\n0\r\n\r\n")
    _check(answers[0], "malformed", ["body"] if answers[0].fields else [])


async def test_early_rejections_are_problem_documents(site: Site, wire: Wire) -> None:
    with full(site.gateway.admission):
        for method, path in (("POST", _ORDER), ("GET", _ORDER), ("GET", "/nowhere")):
            answer = await wire.ask(method, path, b"{}")
            _check(answer, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1


async def test_contradictions_name_both_orders(wire: Wire) -> None:
    body = json.loads(order_bytes())
    key = {"Idempotency-Key": body["order_no"]}
    assert (await wire.submit(json.dumps(body).encode(), key)).status == 201
    other = json.dumps(body | {"remark": "other"}).encode()
    _check(await wire.submit(other), "conflict")
    _check(await wire.submit(other, key), "key-reused")
