"""HTTP itself: methods, targets, heads, lengths, and what is not HTTP at all."""

import asyncio
import json
import uuid

import pytest

from tests.support.patience import HANG_S
from tests.web.support import Answer, Wire, check, order_bytes, read_answer

_CLOSE = ("Connection", "close")
_CHUNKED = ("Transfer-Encoding", "chunked")
_PATHS = {
    "/v1/orders": "GET, HEAD, POST",
    f"/v1/orders/{uuid.UUID(int=1)}": "GET, HEAD",
    f"/v1/orders/{uuid.UUID(int=1)}/events": "GET, HEAD",
    "/v1/callbacks/stripe/shop": "POST",
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
}


async def test_an_unsupported_method_gets_405_with_allow(wire: Wire) -> None:
    for path, allowed in _PATHS.items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            if method not in allowed:
                answer = await wire.ask(method, path)
                assert answer.status == 405, (method, path)
                assert answer.headers["allow"] == allowed


async def test_head_is_get_without_a_body(wire: Wire) -> None:
    placed = await wire.submit(order_bytes())
    for path in ("/healthz", "/readyz", "/openapi.json", placed.headers["location"]):
        # The state of a part may change between the two requests.
        for _ in range(5):
            head, get = await wire.ask("HEAD", path), await wire.ask("GET", path)
            assert (head.status, head.body) == (200, b"")
            if head.headers["content-length"] == str(len(get.body)):
                break
        assert head.headers["content-length"] == str(len(get.body))
        assert head.headers["content-type"] == get.headers["content-type"]
    assert (await wire.ask("HEAD", "/nowhere")).status == 404
    assert (await wire.ask("HEAD", "/v1/callbacks/stripe/shop")).status == 405


async def test_unknown_paths_get_404(wire: Wire) -> None:
    strange = [
        "/", "/v1", "/v1/", "/v1/orders/", "//", "//healthz", "/healthz/", "/%68ealthz",
        "/v1/%2e%2e/healthz", "/v1/../healthz", "/./healthz", "/healthz%00", "/HEALTHZ",
        "/v1/orders%2f1", "/v1/orders/x/y", "/v1/orders//events", "/healthz;a=1", "/healthz#a",
        "/v1/callbacks/stripe", "/v1/callbacks/stripe/shop/x", "/..%5c..%5cetc/passwd",
        "/" + "a" * 8000, "/?" + "a" * 8000,
    ]  # fmt: skip
    for target in strange:
        for method in ("GET", "POST", "OPTIONS"):
            assert (await wire.ask(method, target)).status == 404, (method, target)


async def test_an_invalid_id_gets_404(wire: Wire) -> None:
    for name in ("x", "1", "%00", "%2e%2e", "0" * 33, "{id}", "a" * 5000, "0" * 32, "%F0%9F%8D%B5"):
        for path in (f"/v1/orders/{name}", f"/v1/orders/{name}/events"):
            answer = await wire.ask("GET", path)
            assert (answer.status, answer.json["type"]) == (404, "/problems/not-found"), path


async def test_a_target_may_be_absolute(wire: Wire) -> None:
    # RFC 9112, 3.2.2: a server behind a proxy may receive the absolute form.
    assert (await wire.ask("GET", "http://gateway/healthz")).status == 200
    assert (await wire.ask("POST", "http://gateway:80/v1/orders", order_bytes())).status == 201
    listed = await wire.ask("GET", "HTTP://gateway/v1/orders?limit=1")
    assert len(listed.json["orders"]) == 1
    for target in ("http://gateway", "http://", "http://gateway/nowhere", "gateway/healthz"):
        assert (await wire.ask("GET", target)).status in (400, 404), target
    assert (await wire.ask("DELETE", "http://gateway/healthz")).status == 405


_NOT_HTTP = {
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "words": b"hello\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a star": b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a future version": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "an unknown method": b"FETCH /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "a blank before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
    "no colon": b"GET /healthz HTTP/1.1\r\nHost\r\n\r\n",
    "NUL": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "bytes in the path": b"GET /\xe9\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long line": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a longer line": b"GET /" + b"a" * 200_000,
    "a long header": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
    "a long name": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a" * 9000 + b": a\r\n\r\n",
    "65 headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: a\r\n" * 65 + b"\r\n",
    "a flood of headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: a\r\n" * 20_000,
}


_TOO_LONG = {
    "a long line": 414, "a longer line": 414, "a long header": 431, "a long name": 431,
    "65 headers": 431, "a flood of headers": 431,
}  # fmt: skip


@pytest.mark.parametrize("name", _NOT_HTTP)
async def test_what_is_not_http_gets_its_4xx_and_the_connection_ends(wire: Wire, name: str) -> None:
    answer = await wire.answer(_NOT_HTTP[name])
    assert answer.status == _TOO_LONG.get(name, 400)
    assert len(answer.json["detail"]) > 10
    # The parser quotes what it rejects, and a head holds keys.
    assert "aaaa" not in answer.json["detail"]
    assert answer.headers["connection"] == "close"


async def test_64_headers_are_taken(wire: Wire) -> None:
    headers = [(f"X-{n}", "v") for n in range(61)]
    assert (await wire.ask("GET", "/healthz", None, headers)).status == 200


def _lengths() -> dict[str, list[tuple[str, str]]]:
    length = str(len(order_bytes()))
    return {
        "two that agree": [("Content-Length", length)] * 2,
        "two that do not": [("Content-Length", length), ("Content-Length", "5")],
        "a list": [("Content-Length", f"{length}, {length}")],
        "one and chunks": [("Content-Length", length), _CHUNKED],
        "negative": [("Content-Length", "-1")],
        "signed": [("Content-Length", f"+{length}")],
        "hexadecimal": [("Content-Length", "0x10")],
        "huge": [("Content-Length", "9" * 30)],
        "empty": [("Content-Length", "")],
        "an unknown coding": [("Transfer-Encoding", "foo")],
        "chunked twice": [("Transfer-Encoding", "chunked, chunked")],
        "chunked and more": [("Transfer-Encoding", "chunked, gzip")],
    }


@pytest.mark.parametrize("name", _lengths())
async def test_ambiguous_lengths_get_400(wire: Wire, name: str) -> None:
    sent = wire.request("POST", "/v1/orders", order_bytes(), _lengths()[name], has_length=False)
    answers = await wire.answers(sent)
    assert [check(answer).status for answer in answers][:1] == [400]
    assert len(answers) == 1


async def test_a_body_longer_than_its_length_is_not_stored(wire: Wire) -> None:
    body = order_bytes()
    short = [("Content-Length", str(len(body) - 20))]
    answers = await wire.answers(wire.request("POST", "/v1/orders", body, short, has_length=False))
    assert {check(answer).status for answer in answers} == {400}


async def test_a_body_declared_too_large_gets_413_before_it_is_sent(wire: Wire) -> None:
    for length in (256 * 1024 + 1, 1 << 31, 1 << 63):
        declared = [("Content-Length", str(length)), ("Expect", "100-continue")]
        answer = await wire.answer(
            wire.request("POST", "/v1/orders", b"", declared, has_length=False)
        )
        assert answer.status == 413
        assert answer.headers["connection"] == "close"


def _chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


async def test_chunked_bodies_are_read_up_to_the_limit(wire: Wire) -> None:
    body = order_bytes()
    sent = wire.request(
        "POST", "/v1/orders", _chunks(body[:9], body[9:]) + b"0\r\n\r\n", [_CHUNKED, _CLOSE],
        has_length=False,
    )  # fmt: skip
    assert (await wire.answer(sent)).status == 201
    endless = _chunks(*[b" " * 65536] * 20)
    sent = wire.request("POST", "/v1/orders", endless, [_CHUNKED], has_length=False)
    answer = await wire.answer(sent)
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    for broken in (b"zz\r\n", b"F" * 17 + b"\r\n", b"-1\r\n", b"5\r\nabc\r\n", b"5 5\r\nabcde\r\n"):
        sent = wire.request("POST", "/v1/orders", broken, [_CHUNKED], has_length=False)
        answers = await wire.answers(sent, is_last=True)
        assert {check(answer).status for answer in answers} <= {400}


async def test_trailers_are_limited(wire: Wire) -> None:
    body = _chunks(order_bytes()) + b"0\r\n" + b"A: a\r\n" * 30_000
    sent = wire.request("POST", "/v1/orders", body, [_CHUNKED], has_length=False)
    assert {check(answer).status for answer in await wire.answers(sent)} <= {201, 431}


async def test_expect_100_continue_is_answered(wire: Wire) -> None:
    body = order_bytes()
    expecting = [("Content-Length", str(len(body))), ("Expect", "100-continue"), _CLOSE]
    sent = wire.request("POST", "/v1/orders", None, expecting)
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    async with asyncio.timeout(HANG_S):
        writer.write(sent)
        asked = await read_answer(reader)
        assert asked is not None
        assert asked.status == 100
        writer.write(body)
        answer = await read_answer(reader)
    writer.close()
    assert answer is not None
    assert answer.status == 201
    refused = wire.request("POST", "/v1/orders", None, expecting, has_key=False)
    # No body is requested that would not be read.
    assert (await wire.answer(refused)).status == 401


async def test_pipelined_requests_are_answered_in_order(wire: Wire) -> None:
    ids = [("/healthz", 200), ("/nowhere", 404), ("/v1/orders?limit=0", 422), ("/readyz", 200)]
    sent = b"".join(wire.request("GET", target) for target, _ in ids * 25)
    sent += wire.request("POST", "/v1/orders", order_bytes(), [_CLOSE])
    answers = [check(answer) for answer in await wire.answers(sent)]
    assert [answer.status for answer in answers] == [status for _, status in ids * 25] + [201]
    assert all("connection" not in answer.headers for answer in answers[:-1])


async def test_the_body_of_a_failed_request_is_not_read_as_the_next_request(wire: Wire) -> None:
    hidden = wire.request("POST", "/v1/orders", order_bytes())
    for headers, has_key in (([], False), ([("Content-Type", "text/plain")], True)):
        sent = wire.request("POST", "/v1/orders", hidden, headers, has_key=has_key)
        sent += wire.request("GET", "/healthz", headers=[_CLOSE])
        answers = await wire.answers(sent)
        assert [answer.status for answer in answers] == [415 if has_key else 401, 200]
    large = wire.request("POST", "/v1/orders", hidden.ljust(300_000))
    answers = await wire.answers(large + wire.request("GET", "/healthz", headers=[_CLOSE]))
    assert [answer.status for answer in answers] == [413]


async def test_http_1_0_closes_unless_it_asks_to_keep_alive(wire: Wire) -> None:
    once = await wire.answer(wire.request("GET", "/healthz", version="HTTP/1.0"))
    assert (once.status, once.headers["connection"]) == (200, "close")
    placed = await wire.answer(
        wire.request("POST", "/v1/orders", order_bytes(), version="HTTP/1.0")
    )
    assert placed.status == 201
    stay = wire.request(
        "GET", "/healthz", headers=[("Connection", "keep-alive")], version="HTTP/1.0"
    )
    first, last = await wire.answers(stay + wire.request("GET", "/healthz", version="HTTP/1.0"))
    assert (first.headers["connection"], last.headers["connection"]) == ("keep-alive", "close")


async def test_upgrade_is_ignored(wire: Wire) -> None:
    # Java's client offers HTTP/2 with the first request of every connection.
    offer = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"),
    ]
    answer = await _exchange(wire, wire.request("POST", "/v1/orders", order_bytes(), offer))
    assert [a.status for a in answer] == [201, 200]
    websocket = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    answer = await _exchange(wire, wire.request("GET", "/healthz", headers=websocket))
    assert [a.status for a in answer] == [200, 200]


async def _exchange(wire: Wire, first: bytes) -> list[Answer]:
    """Send a request, read its response, and send another on the same connection."""
    reader, writer = await asyncio.open_connection(wire.host, wire.port)
    answers = []
    async with asyncio.timeout(HANG_S):
        for sent in (first, wire.request("GET", "/healthz", headers=[_CLOSE])):
            writer.write(sent)
            answer = await read_answer(reader)
            assert answer is not None
            answers.append(check(answer))
    writer.close()
    return answers


async def test_responses_have_server_date_and_content_type(wire: Wire) -> None:
    for path in (*_PATHS, "/nowhere"):
        answer = await wire.ask("GET", path)
        assert answer.headers["server"] == "tidegate"
        assert answer.headers["date"].endswith("GMT")
        if answer.headers["content-type"].endswith("json"):
            json.loads(answer.body)
