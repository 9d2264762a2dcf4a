"""Early rejection: which requests are rejected, and that their connections stay in step."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.overload.admission import Admission
from gateway.runtime import settings as configuration
from ops.simulators import registry
from tests.support.patience import HANG_S
from tests.support.site import Site
from tests.web.support import Answer, Wire, check, order_bytes, read_answer

WECHAT = registry.provider("wechatpay")
ACCOUNT = WECHAT.create()
LIST = ("GET", "/v1/orders?limit=1")


@pytest.fixture
def settings(
    settings: configuration.Settings, monkeypatch: pytest.MonkeyPatch
) -> configuration.Settings:
    names = [f"ACCOUNT_SECRET_{n}" for n in range(len(ACCOUNT.secrets))]
    for name, secret in zip(names, ACCOUNT.secrets, strict=True):
        monkeypatch.setenv(name, secret)
    account = configuration.Account(
        "wechatpay", "shop", ["web"], [f"env:{name}" for name in names], dict(ACCOUNT.options)
    )
    return msgspec.structs.replace(settings, accounts=[account])


@pytest.fixture
def admission(site: Site) -> Iterator[Admission]:
    admission = site.gateway.admission
    yield admission
    assert admission.concurrency.in_use == 0, "a slot was leaked"


@contextlib.contextmanager
def full(admission: Admission) -> Iterator[None]:
    """Take every slot."""
    taken = 0
    while admission.concurrency.in_use < admission.concurrency.limit:
        admission.concurrency.take()
        taken += 1
    yield
    for _ in range(taken):
        admission.concurrency.leave(0, 0.0)


def shed(admission: Admission, *tiers: int) -> None:
    for tier in tiers:
        breaker = admission.breakers[tier]  # type: ignore[index]
        breaker.state, breaker.share = "shedding_all", 1.0


def is_rejected(answer: Answer, feature: str, reason: str) -> bool:
    problem = answer.json
    assert problem["type"] == "/problems/overloaded", problem
    assert problem["context"]["reason"] == reason, problem
    assert 1 <= int(answer.headers["retry-after"]) <= 6
    return bool(check(answer).status == 503 and problem["context"]["feature"] == feature)


def post(wire: Wire, *headers: tuple[str, str], **how: Any) -> bytes:
    return wire.request("POST", "/v1/orders", order_bytes(), headers, **how)


def last(wire: Wire) -> bytes:
    return wire.request("GET", "/healthz", headers=[("Connection", "close")])


async def test_a_shed_tier_is_rejected_and_no_other(wire: Wire, admission: Admission) -> None:
    shed(admission, 3)
    sent = wire.request(*LIST) + wire.request("GET", "/metrics")
    listed, metrics = (await wire.answers(sent + last(wire)))[:2]
    assert is_rejected(listed, "order_lists", "shed")
    assert listed.json["context"]["tier"] == 3
    assert metrics.status == 200
    placed = await wire.submit(order_bytes())
    assert placed.status == 201
    assert (await wire.ask("GET", f"/v1/orders/{placed.json['id']}")).status == 200
    shed(admission, 2)
    read = await wire.ask("GET", f"/v1/orders/{placed.json['id']}/events")
    assert is_rejected(read, "order_reads", "shed")


async def test_retry_after_differs_among_requests_rejected_together(
    wire: Wire, admission: Admission
) -> None:
    shed(admission, 3)
    answers = await wire.answers(wire.request(*LIST) * 9 + last(wire))
    assert len({answer.headers["retry-after"] for answer in answers[:-1]}) == 3


async def test_an_early_and_a_late_rejection_have_the_same_head(
    wire: Wire, admission: Admission
) -> None:
    shed(admission, 3)
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    # An absolute target can only be read by the parser, which makes the second rejection late.
    late = wire.request("GET", f"http://gateway{LIST[1]}", headers=[("Connection", "close")])
    writer.write(wire.request(*LIST, headers=[("Connection", "close")]))
    async with asyncio.timeout(HANG_S):
        early_head = (await reader.read()).partition(b"\r\n\r\n")[0].split(b"\r\n")
        writer.close()
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        writer.write(late)
        late_head = (await reader.read()).partition(b"\r\n\r\n")[0].split(b"\r\n")
    writer.close()
    assert early_head[0] == b"HTTP/1.1 503 Service Unavailable"
    # Only the late one names its request, in its body too.
    varying = (b"Date:", b"Retry-After:", b"X-Request-Id:", b"Content-Length:")
    assert sorted(line for line in early_head if not line.startswith(varying)) == sorted(
        line for line in late_head if not line.startswith(varying)
    )


async def test_a_rejected_order_is_not_stored_and_keeps_its_connection(
    wire: Wire, admission: Admission, site: Site
) -> None:
    body = order_bytes()
    request = wire.request("POST", "/v1/orders", body)
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    async with asyncio.timeout(HANG_S):
        with full(admission):
            for cut in (len(request), len(request) - 1, len(request) - len(body), 5):
                writer.write(request[:cut])
                await writer.drain()
                if request[cut:]:
                    await asyncio.sleep(0.02)
                    writer.write(request[cut:])
                answer = await read_answer(reader)
                assert answer is not None
                assert is_rejected(answer, "order_submission", "slots")
        writer.write(request)
        answer = await read_answer(reader)
    assert answer is not None
    assert answer.status == 201
    assert "idempotency-replayed" not in answer.headers
    writer.close()


async def test_a_rejected_callback_gets_its_providers_retry_response(
    wire: Wire, admission: Admission
) -> None:
    target = "/v1/callbacks/wechatpay/shop"
    with full(admission):
        answer = (await wire.answers(wire.request("POST", target, b"{}") + last(wire)))[0]
        assert (answer.status, answer.json) == (503, {"code": "FAIL", "message": "try again"})
        assert answer.headers["retry-after"] in "123"
        # An absolute target is rejected once it was parsed, with the same response.
        late = await wire.answers(
            wire.request("POST", f"http://gateway{target}", b"{}", [("Connection", "close")])
        )
        assert [late[0].status, late[0].body] == [503, answer.body]
        unknown = await wire.ask("POST", "/v1/callbacks/wechatpay/unknown", b"{}")
        assert is_rejected(unknown, "other", "slots")


@pytest.mark.parametrize(
    "headers",
    [
        [("Transfer-Encoding", "chunked")],
        [("Expect", "100-continue"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "6")],
        [("Content-Length", "+5")],
        [("Content-Length", "99999999999999999999")],
        [("Content-Length ", "5")],
        [("Content-Length", "65537")],
        [("Connection", "close")],
        [("Connection", "upgrade"), ("Upgrade", "websocket")],
        [("X-Folded", "a\r\n b")],
        [("X-Bare", "a\nContent-Length: 5")],
        [("X-Bare", "a\rTransfer-Encoding: chunked")],
        [("X-Bare", "a\r"), ("X-Also", "b")],
        [("X-Null", "\0")],
        [("Content-Length\v", "5")],
        [("Connection", "keep-alive"), ("Connection", "close")],
    ],
)
async def test_an_ambiguous_body_length_closes_the_connection(
    wire: Wire, admission: Admission, headers: list[tuple[str, str]]
) -> None:
    # Were the connection kept, only one of two parsers might take what follows for the body.
    request = wire.request("POST", "/v1/orders", headers=headers)
    with full(admission):
        (answer,) = await wire.answers(request + post(wire) + last(wire))
        assert is_rejected(answer, "order_submission", "slots")
        assert answer.headers["connection"] == "close"


async def test_long_heads_are_not_cached(wire: Wire, admission: Admission, site: Site) -> None:
    long = [("X-Pad", "p" * 8000)]
    with full(admission):
        for headers in ([], long):
            (answer, _) = await wire.answers(post(wire, *headers) + last(wire))
            assert is_rejected(answer, "order_submission", "slots")
            assert "connection" not in answer.headers
    assert all(len(head) < 5000 for head in site.server.early_rejection._framing._cached)


async def test_http_1_0_closes_after_a_rejection(wire: Wire, admission: Admission) -> None:
    with full(admission):
        for headers in ([], [("X-Pad", "a HTTP/1.1")]):
            (answer,) = await wire.answers(post(wire, *headers, version="HTTP/1.0"))
            assert is_rejected(answer, "order_submission", "slots")
            assert answer.headers["connection"] == "close"


async def test_a_client_that_is_still_sending_receives_the_rejection(
    wire: Wire, admission: Admission
) -> None:
    """Closing a socket with unread bytes resets the connection, and the response is lost."""
    head = wire.request("POST", "/v1/orders", headers=[("Content-Length", str(200_000))])
    with full(admission):
        (answer,) = await wire.answers(head + b"x" * 200_000)
        assert is_rejected(answer, "order_submission", "slots")


async def test_a_slow_body_holds_no_slot_and_is_decided_about_again(
    wire: Wire, admission: Admission
) -> None:
    request = post(wire, ("Connection", "close"))
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    writer.write(request[:-10])
    await writer.drain()
    await asyncio.sleep(0.1)
    assert admission.concurrency.in_use == 0
    with full(admission):
        writer.write(request[-10:])
        answer = await read_answer(reader)
        assert answer is not None
        assert is_rejected(answer, "order_submission", "slots")
    writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/orders HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\n{}",
        b"POST /v1/orders HTTP/1.1\r\nHost: g\r\nContent-Length: x\r\n\r\n{}",
        b"POST /v1/orders HTTP/1.1\r\nHost: g\r\nBad header\r\n\r\n{}",
        b"POST /v1/orders HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /v1/orders HTTP/9.9\r\n\r\n",
        b"GET /v1/orders \r\n\r\n",
        b"POST /v1/callbacks/wechatpay/shop HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /nothing HTTP/1.1\r\nHost: g\r\nContent-Length: 9\r\n\r\n{}",
        b"GET /nothing HTTP/1.1\r\nHost: g\r\nBad header\r\n\r\n",
        b"FETCH /nothing HTTP/1.1\r\nHost: g\r\n\r\n",
        b"CONNECT /nothing HTTP/1.1\r\nHost: g\r\n\r\n",
    ],
)
@pytest.mark.parametrize("leaves", [False, True])
async def test_no_slot_is_leaked(
    wire: Wire, admission: Admission, sent: bytes, leaves: bool
) -> None:
    for _ in range(3):
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        writer.write(sent)
        if leaves:
            writer.transport.abort()
            await asyncio.sleep(0.02)
            continue
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), HANG_S)
        writer.close()
    async with asyncio.timeout(HANG_S):
        while admission.concurrency.in_use:
            await asyncio.sleep(0.01)


async def test_pipelined_orders_are_all_placed(wire: Wire, admission: Admission) -> None:
    answers = await wire.answers(post(wire) + post(wire) + wire.request(*LIST) + last(wire))
    assert [answer.status for answer in answers] == [201, 201, 200, 200]


_KINDS = {"order": 503, "list": 503, "health": 200, "unknown": 503, "metrics": 200, "get body": 503}


def _request(wire: Wire, kind: str, n: int) -> bytes:
    if kind == "order":
        return wire.request("POST", "/v1/orders", b"POST /v1/orders HTTP/1.1\r\n\r\n" * n)
    if kind == "get body":
        return wire.request("GET", "/v1/orders", b"GET /healthz HTTP/1.1\r\n\r\n")
    target = {"list": LIST[1], "health": "/healthz", "unknown": "/nothing", "metrics": "/metrics"}
    return wire.request("GET", target[kind])


@examples(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kinds=st.lists(st.tuples(st.sampled_from(sorted(_KINDS)), st.integers(0, 60)), max_size=8),
    cuts=st.lists(st.integers(0, 4000), max_size=6),
    waits=st.booleans(),
)
async def test_each_request_gets_its_own_response_however_it_is_split(
    wire: Wire, admission: Admission, kinds: list[tuple[str, int]], cuts: list[int], waits: bool
) -> None:
    """Bodies may look like requests; requests may be split or pipelined."""
    requests = [_request(wire, kind, n) for kind, n in kinds] + [last(wire)]
    sent = b"".join(requests)
    ends = list(itertools.accumulate(map(len, requests))) if waits else []
    at = sorted({*[cut % len(sent) for cut in cuts], *ends, 0, len(sent)})
    with full(admission):
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        answers = []
        async with asyncio.timeout(HANG_S):
            for start, end in itertools.pairwise(at):
                writer.write(sent[start:end])
                await writer.drain()
                if end in ends:
                    answers.append(await read_answer(reader))
                else:
                    await asyncio.sleep(0.002)
            while (answer := await read_answer(reader)) is not None:
                answers.append(answer)
        writer.close()
    statuses = [answer.status for answer in answers if answer is not None]
    assert statuses == [*(_KINDS[kind] for kind, _ in kinds), 200]


class TestWatching:
    @pytest.fixture
    def settings(self, settings: configuration.Settings) -> configuration.Settings:
        return msgspec.structs.replace(settings, shedding="watch")

    async def test_nothing_is_rejected_and_everything_counted(
        self, wire: Wire, admission: Admission, site: Site
    ) -> None:
        shed(admission, 3)
        with full(admission):
            assert (await wire.ask(*LIST)).status == 200
            assert (await wire.submit(order_bytes())).status == 201
        for n in range(1, 6):
            site.gateway.load_monitor.tick(0.0, 0.0, admission.now_s() + n * 0.05)
        shown = (await wire.ask("GET", "/metrics")).body.decode()
        for feature, reason in (("order_lists", "shed"), ("order_submission", "slots")):
            labels = f'feature="{feature}",mode="watch",reason="{reason}"'
            assert f"tidegate_shed_total{{{labels}}}" in shown


async def test_the_openapi_document_has_503(wire: Wire) -> None:
    document = json.loads((await wire.ask("GET", "/openapi.json")).body)
    assert "503" in document["paths"]["/v1/orders"]["get"]["responses"]


async def test_while_draining_a_rejection_closes_its_connection(
    wire: Wire, admission: Admission, site: Site
) -> None:
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    await asyncio.sleep(0.05)
    draining = asyncio.create_task(site.server.drain())
    await asyncio.sleep(0.05)
    with full(admission):
        writer.write(post(wire))
        async with asyncio.timeout(HANG_S):
            answer = await read_answer(reader)
            assert answer is not None
            assert is_rejected(answer, "order_submission", "slots")
            assert answer.headers["connection"] == "close"
            assert await reader.read() == b""
    writer.close()
    await asyncio.wait_for(draining, HANG_S)


async def test_a_connection_lost_before_its_handler_began_leaves_its_slot(
    wire: Wire, site: Site, admission: Admission
) -> None:
    """Both in one loop iteration, as when a client sends and disconnects."""
    _, writer = await asyncio.open_connection(wire.host, wire.port)
    async with asyncio.timeout(HANG_S):
        while not site.server.connections:
            await asyncio.sleep(0.01)
    (handler,) = site.server.connections
    handler.data_received(wire.request(*LIST))
    assert admission.concurrency.in_use == 1
    handler.connection_lost(None)
    assert admission.concurrency.in_use == 0
    writer.close()
