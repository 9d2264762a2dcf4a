"""Requests of no feature are rejected for load like others; health probes never are."""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sized
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest

from gateway.domain.features import OTHER
from gateway.domain.overrides import Action
from gateway.overload.admission import Admission
from gateway.overload.concurrency import Slot
from gateway.overload.overrides import Overrides
from gateway.runtime.settings import ProcessRole, Settings
from gateway.web import process, wiring
from gateway.web.transport.early_rejection import EarlyRejection
from gateway.wiring import open_gateway
from tests.support.patience import HANG_S
from tests.support.site import Site, serve
from tests.web.support import Answer, Wire, order_bytes, read_answer
from tests.web.test_early_rejection import full, is_rejected, last, shed

_LAST = ("Connection", "close")
#: Method and target of requests that belong to no feature.
_OTHERS = [
    ("GET", "/"), ("GET", "/nothing"), ("GET", "/nothing?a=/healthz"),
    ("POST", "/nothing"), ("PUT", "/v1/orders"), ("DELETE", "/v1/orders/x"), ("GET", "//healthz"),
    ("GET", "/healthz/"), ("GET", "/HEALTHZ"), ("GET", "/%68ealthz"), ("GET", "/healthz;a=1"),
    ("GET", "/v1/admin/load"), ("POST", "/healthz"), ("OPTIONS", "/metrics"), ("PATCH", "/readyz"),
    ("GET", "/openapi.json"), ("GET", "/openapi.json?a=1"), ("M-SEARCH", "/healthz"),
    ("POST", "/v1/callbacks/"), ("POST", "/v1/callbacks/stripe/unknown"),
    ("GET", "/v1/callbacks/stripe/unknown"), ("OPTIONS", "/v1/orders"), ("GET", "/caf\xe9"),
]  # fmt: skip
#: Targets of health probes, as monitoring and people write them.
_PROBES = [
    *("/healthz", "/readyz", "/metrics", "/healthz?x=1", "/readyz?", "/metrics?name[]=up"),
    *("http://gateway/healthz", "HTTP://gateway:80/readyz", "https://gateway/metrics?a=b"),
]


@pytest.fixture
def admission(site: Site) -> Iterator[Admission]:
    admission = site.gateway.admission
    yield admission
    assert admission.concurrency.in_use == 0, "a slot was leaked"


@pytest.fixture
def early_rejection(site: Site) -> EarlyRejection:
    return site.server.early_rejection


@contextlib.contextmanager
def _overriding(admission: Admission, **actions: Action) -> Iterator[None]:
    """Have operators' overrides active."""
    overrides = cast("Overrides", admission._overrides)
    overrides.actions = actions
    yield
    overrides.actions = {}


def _is_other(answer: Answer, reason: str = "shed") -> bool:
    return is_rejected(answer, "other", reason) and answer.json["context"]["tier"] == 4


async def test_requests_of_no_feature_are_rejected_on_their_first_bytes(
    wire: Wire, admission: Admission, early_rejection: EarlyRejection
) -> None:
    shed(admission, 4)
    for method, target in _OTHERS:
        request = wire.request(method, target, b"x" * 10)
        assert isinstance(early_rejection.decide(request), bytes), (method, target)
        answers = await wire.answers(request + wire.request(method, target) + last(wire))
        assert [answer.status for answer in answers] == [503, 503, 200]
        assert all(_is_other(answer) for answer in answers[:2])
        assert "connection" not in answers[0].headers


async def test_tier_4_is_shed_alone(wire: Wire, admission: Admission) -> None:
    shed(admission, 4)
    assert (await wire.ask("GET", "/v1/orders?limit=1")).status == 200
    placed = await wire.submit(order_bytes())
    assert placed.status == 201
    for method in ("GET", "HEAD"):
        assert (await wire.ask(method, placed.headers["location"])).status == 200
        assert (await wire.ask(method, "/v1/orders?limit=1")).status == 200


async def test_below_the_limits_each_gets_its_own_error(
    wire: Wire, early_rejection: EarlyRejection
) -> None:
    for (method, target), status in (
        (("GET", "/nothing"), 404),
        (("PUT", "/v1/orders"), 405),
        (("GET", "/openapi.json"), 200),
        (("POST", "/v1/callbacks/stripe/unknown"), 404),
        (("HEAD", "/nothing"), 404),
    ):
        found = early_rejection.decide(wire.request(method, target))
        assert method == "HEAD" or isinstance(found, Slot)
        if isinstance(found, Slot):
            assert found.feature is OTHER
            found.leave()
        assert (await wire.ask(method, target)).status == status


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_probes_are_never_rejected(wire: Wire, admission: Admission, version: str) -> None:
    shed(admission, 1, 2, 3, 4)
    with full(admission), _overriding(admission, other="shed"):
        for method, target in itertools.product(("GET", "HEAD"), _PROBES):
            answer = await wire.ask(method, target, version=version)
            assert (answer.status, not answer.body) == (200, method == "HEAD"), target


async def test_whatever_the_router_serves_as_a_probe_is_never_rejected(
    wire: Wire, admission: Admission
) -> None:
    """However it is written: what gets 200 without load gets it while all tiers are shed."""
    spellings = [
        f"{method} {before}{path}{behind} HTTP/{version}\r\n"
        for method in ("GET", "HEAD", " GET", "get", "GET ")
        for before in ("", "/", "http://g", "http://g/", "//g", "*", "\r\n", "http:")
        for path in ("/healthz",)
        for behind in ("", "?a", "#a", "?a#b", "/", " ", "\t", "?\xe9")
        for version in ("1.0", "1.1", "1.2", "2.0")
    ]
    rest = b"Host: g\r\nConnection: close\r\n\r\n"

    async def statuses() -> list[int]:
        return [await _status(wire, each.encode("latin-1") + rest) for each in spellings]

    quiet = await statuses()
    assert quiet.count(200) > 10
    shed(admission, 1, 2, 3, 4)
    with full(admission):
        while_shed = await statuses()
    changed = {(was, now) for was, now in zip(quiet, while_shed, strict=True) if was != now}
    assert changed <= {(404, 503), (400, 503)}
    assert (404, 503) in changed


async def _status(wire: Wire, sent: bytes) -> int:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(sent)
    async with asyncio.timeout(HANG_S):
        received = await reader.read()
    writer.close()
    return int(received.split(b" ", 2)[1])


async def test_a_head_request_is_rejected_without_a_body(wire: Wire, admission: Admission) -> None:
    shed(admission, 4)
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    async with asyncio.timeout(HANG_S):
        for method in ("HEAD", "GET", "HEAD"):
            writer.write(wire.request(method, "/nothing"))
            answer = await read_answer(reader, is_head=method == "HEAD")
            assert answer is not None
            assert answer.status == 503
            assert int(answer.headers["content-length"]) > 100
            assert 1 <= int(answer.headers["retry-after"]) <= 6
        writer.write(last(wire))
        assert b"HTTP/1.1 200 OK" in await reader.read()
    writer.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["http://gateway/nothing", "/openapi.json", "http://gateway"])
async def test_requests_known_only_once_parsed_are_rejected_too(
    wire: Wire, admission: Admission, method: str, target: str
) -> None:
    shed(admission, 4)
    answer = (await wire.answers(wire.request(method, target, headers=[_LAST])))[0]
    assert answer.status == 503
    # Pipelined after a request that is still being answered.
    sent = wire.request("GET", "/readyz") + wire.request(method, "/nothing")
    _, behind = await _two(wire, sent, is_head=method == "HEAD")
    assert behind.status == 503
    assert method == "HEAD" or _is_other(behind)


async def _two(wire: Wire, sent: bytes, *, is_head: bool) -> tuple[Answer, Answer]:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(sent)
    async with asyncio.timeout(HANG_S):
        first, second = await read_answer(reader), await read_answer(reader, is_head)
    writer.close()
    assert first is not None
    assert second is not None
    return first, second


async def test_a_callback_of_an_unknown_account_is_of_no_feature(
    wire: Wire, admission: Admission
) -> None:
    shed(admission, 4)
    for target in ("/v1/callbacks/stripe/unknown", "http://g/v1/callbacks/stripe/unknown"):
        assert _is_other(await wire.ask("POST", target, b"{}"))


async def test_what_follows_connect_is_the_next_request_while_shed_too(
    wire: Wire, admission: Admission
) -> None:
    """It has no body, whatever it declares: parser and early rejection must not differ."""
    sent = (
        b"CONNECT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        b"helloGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )

    async def statuses() -> list[int]:
        return [answer.status for answer in await wire.answers(sent)]

    before = await statuses()
    shed(admission, 4)
    assert 200 not in before
    assert 200 not in await statuses()


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET  /nothing HTTP/1.1\r\nHost: g\r\n\r\n",
        b"GET /nothing HTTP/1.1 \r\nHost: g\r\n\r\n",
        b"GET /nothing HTTP/9.9\r\nHost: g\r\n\r\n",
        b"GET /no thing HTTP/1.1\r\nHost: g\r\n\r\n",
        b"GET /nothing HTTP/1.1\nHost: g\r\n\r\n",
        b"GET /nothing\x00 HTTP/1.1\r\nHost: g\r\n\r\n",
        b"get /nothing HTTP/1.1\r\nHost: g\r\n\r\n",
        b"GET nothing HTTP/1.1\r\nHost: g\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: g\r\n\r\n",
        b"CONNECT g:1 HTTP/1.1\r\nHost: g\r\n\r\n",
        b"\r\n\r\nGET /nothing HTTP/1.1\r\nHost: g\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nHost: g\r\n",
        b"GET /nothing HTTP/1.1",
    ],
)
async def test_incomplete_or_malformed_requests_are_left_to_the_parser(
    admission: Admission, early_rejection: EarlyRejection, sent: bytes
) -> None:
    shed(admission, 4)
    assert early_rejection.decide(sent) is None


async def test_unknown_paths_are_not_cached(
    wire: Wire, admission: Admission, early_rejection: EarlyRejection
) -> None:
    def cached() -> int:
        table = early_rejection._table
        held: list[Sized] = [table.by_first_line, table.by_target]
        held += [early_rejection._framing._cached, early_rejection._full or {}]
        return sum(len(each) for each in [*held, admission.rejections.kinds])

    shed(admission, 4)
    early_rejection.begin_batch()
    assert isinstance(early_rejection.decide(wire.request("GET", "/nothing")), bytes)
    before = cached()
    for n in range(1000):
        for method in ("GET", "POST", f"M{'X' * (n % 9)}"):
            assert isinstance(early_rejection.decide(wire.request(method, f"/n{n}?{n}")), bytes)
    early_rejection.end_batch()
    assert cached() == before


async def test_operators_override_it(wire: Wire, admission: Admission, site: Site) -> None:
    with _overriding(admission, other="shed"):
        assert _is_other(await wire.ask("GET", "/nothing"), "operator")
        assert (await wire.ask("GET", "/healthz")).status == 200
    shed(admission, 4)
    with _overriding(admission, other="admit"):
        assert (await wire.ask("GET", "/nothing")).status == 404
    for n in range(1, 6):
        site.gateway.load_monitor.tick(0.0, 0.0, admission.now_s() + n * 0.05)
    shown = (await wire.ask("GET", "/metrics")).body.decode()
    assert 'tidegate_shed_total{feature="other",mode="act",reason="operator"}' in shown


async def test_the_operators_port_never_rejects(site: Site, admission: Admission) -> None:
    async with _operators(site) as wire:
        shed(admission, 1, 2, 3, 4)
        with full(admission):
            assert (await wire.ask("GET", "/v1/admin/load")).status == 200
            assert (await wire.ask("GET", "/openapi.json")).status == 200
            assert (await wire.ask("GET", "/nothing")).status == 404
            assert (await wire.ask("DELETE", "/v1/admin/load")).status == 405


@asynccontextmanager
async def _operators(site: Site) -> AsyncIterator[Wire]:
    server = wiring.build_admin_server(site.gateway, accounts=site.accounts)
    listening_socket = socket.create_server(("127.0.0.1", 0))
    host, port = listening_socket.getsockname()
    opened = process.open_listener(server, listening_socket, site.gateway)
    yield Wire(host, port, await site.token_for("operate"))
    server.pre_shutdown()
    await server.shutdown(2.0)
    opened.close()


@pytest.mark.parametrize(
    ("role", "method", "target"),
    [
        ("core", "GET", "/v1/orders?limit=1"), ("core", "GET", "/v1/orders/x"),
        ("core", "HEAD", "/v1/orders"), ("core", "GET", "http://g/v1/orders"),
        ("query", "POST", "/v1/orders"), ("query", "POST", "/v1/callbacks/stripe/unknown"),
        ("query", "POST", "http://g/v1/callbacks/stripe/unknown"),
    ],
)  # fmt: skip
async def test_requests_for_the_other_role_are_misdirected_while_shed_too(
    settings: Settings, role: ProcessRole, method: str, target: str
) -> None:
    changed = msgspec.structs.replace(settings, role=role)
    async with open_gateway(changed) as gateway, serve(gateway) as site:
        wire = Wire(site.host, site.port, site.token)
        shed(gateway.admission, 1, 2, 3, 4)
        with full(gateway.admission):
            (answer,) = await wire.answers(wire.request(method, target, headers=[_LAST]))
            assert answer.status == 421
            assert _is_other(await wire.ask("GET", "/nothing"))
            assert (await wire.ask("GET", "/readyz")).status == 200
        gateway.admission.breakers[4].share = 0.0
        assert (await wire.ask("GET", "/openapi.json")).status == 200
        assert gateway.admission.concurrency.in_use == 0


async def test_the_openapi_document_has_503_where_it_may_be_rejected(wire: Wire) -> None:
    document = json.loads((await wire.ask("GET", "/openapi.json")).body)
    assert "503" in document["paths"]["/openapi.json"]["get"]["responses"]
    for path in ("/healthz", "/metrics"):
        assert "503" not in document["paths"][path]["get"]["responses"]
