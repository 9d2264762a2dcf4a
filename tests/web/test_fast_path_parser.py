"""The fast path's parser reads what it reads as aiohttp's parser does."""

import asyncio
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.web.fast_path.parser import ParsedHead, ParsedSubmission, SubmissionParser
from tests.support.limits import limits

_MAX = 1000
_LIMITS = limits(order_bytes_max=_MAX)
_BASE = ("Host: shop", "Authorization: Bearer k", "Content-Length: 2")


def _sent(*fields: str, line: str = "POST /v1/orders HTTP/1.1", body: bytes = b"{}") -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1") + body


def _read(data: bytes) -> ParsedSubmission | None:
    return SubmissionParser(limits=_LIMITS).read(data)


def test_a_plain_submission_is_read() -> None:
    key = "Idempotency-Key: a b"
    read = _read(_sent(*_BASE, key, "Content-Type: application/json", "X-Trace: 1"))
    assert read == ParsedSubmission(ParsedHead("Bearer k", False), "a b", b"{}")


def test_names_are_case_insensitive_and_values_unchanged() -> None:
    fields = ("host: Shop", "AUTHORIZATION: Bearer K", "content-length: 2", "idempotency-key: Ab")
    assert _read(_sent(*fields)) == ParsedSubmission(ParsedHead("Bearer K", False), "Ab", b"{}")


@pytest.mark.parametrize(("value", "closes"), [("keep-alive", False), ("close", True)])
def test_the_connection_header_is_read(value: str, closes: bool) -> None:
    read = _read(_sent(*_BASE, f"Connection: {value}"))
    assert read is not None
    assert read.head.closes == closes


def test_a_cached_head_is_valid_for_another_body_and_key() -> None:
    parser = SubmissionParser(limits=_LIMITS)
    for key, body in (("a", b"{}"), ("b", b'{"a":1}'), ("a", b"")):
        length = f"Content-Length: {len(body)}"
        sent = _sent(*_BASE[:2], length, f"Idempotency-Key: {key}", body=body)
        assert parser.read(sent) == ParsedSubmission(ParsedHead("Bearer k", False), key, body)
    assert len(parser._heads) == 1


def test_a_cached_head_is_valid_for_another_request_id() -> None:
    """A proxy makes one for each request: the heads must not be parsed each time for it."""
    parser = SubmissionParser(limits=_LIMITS)
    for n in range(5):
        read = parser.read(_sent(*_BASE[:2], f"X-Request-Id: r-{n}", *_BASE[2:]))
        assert read == ParsedSubmission(ParsedHead("Bearer k", False), None, b"{}", f"r-{n}")
    assert len(parser._heads) == 1


def test_the_cache_has_a_bound() -> None:
    parser = SubmissionParser(limits=_LIMITS)
    for n in range(3000):
        assert parser.read(_sent(*_BASE, f"X-Trace: {n}", "X-Pad: " + "x" * (n % 1100))) is not None
    assert 0 < len(parser._heads) <= 1024
    assert max(map(len, parser._heads)) <= 1024
    assert parser.read(_sent(*_BASE, "X-Long: " + "x" * 5000)) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        _sent(*_BASE)[:-3],
        _sent(*_BASE) + b"x",
        _sent(*_BASE) * 2,
        b"\r\n" + _sent(*_BASE),
        _sent(*_BASE, line="POST /v1/orders HTTP/1.0"),
        _sent(*_BASE, line="POST /v1/orders?x=1 HTTP/1.1"),
        _sent(*_BASE, line="PUT /v1/orders HTTP/1.1"),
        _sent(*_BASE[:2]),
        _sent(*_BASE[1:]),
        _sent(_BASE[0], _BASE[2]),
        _sent(*_BASE, "Content-Length: 2"),
        _sent(*_BASE[:2], "Content-Length: 2, 2"),
        _sent(*_BASE[:2], "Content-Length: +2"),
        _sent(*_BASE[:2], "Content-Length: 0x2"),
        _sent(*_BASE[:2], "Content-Length: -2"),
        _sent(*_BASE[:2], "Content-Length:2"),
        _sent(*_BASE[:2], "Content-Length : 2"),
        _sent(*_BASE[:2], "Content-Length: 1001", body=b"x" * 1001),
        _sent(*_BASE[:2], "Content-Length: 10000000"),
        _sent(*_BASE, "Host: other"),
        _sent(*_BASE, "Authorization: Bearer other"),
        _sent(*_BASE, "Transfer-Encoding: chunked"),
        _sent(*_BASE, "Content-Encoding: gzip"),
        _sent(*_BASE, "Expect: 100-continue"),
        _sent(*_BASE, "Upgrade: h2c"),
        _sent(*_BASE, "Connection: upgrade"),
        _sent(*_BASE, "Connection: close, te"),
        _sent(*_BASE, "Content-Type: text/plain"),
        _sent(*_BASE, "Idempotency-Key: a", "Idempotency-Key: b"),
        _sent(*_BASE, "Idempotency-Key: "),
        _sent(*_BASE, "Idempotency-Key:  a"),
        _sent(*_BASE, "Idempotency-Key: a "),
        _sent(*_BASE, "Idempotency-Key: caf\xe9"),
        _sent(*_BASE, "Idempotency-Key: a\rX"),
        _sent(*_BASE, "X-Request-Id: a", "X-Request-Id: b"),
        _sent(*_BASE, "X-Request-Id: a", "x-request-id: a"),
        _sent(*_BASE, "X-Request-Id: "),
        _sent(*_BASE, "X-Request-Id:a"),
        _sent(*_BASE, "X-Request-Id:  a"),
        _sent(*_BASE, "X-Request-Id: a b"),
        _sent(*_BASE, "X-Request-Id: " + "a" * 129),
        _sent(*_BASE, "X-Request-Id: caf\xe9"),
        _sent(*_BASE, "X-Request-Id: a\rZHost: b"),
        _sent(*_BASE, "X-Folded: a", " b"),
        _sent(*_BASE, "X Blank: a"),
        _sent(*_BASE, "X-None"),
        _sent(*_BASE, ": a"),
        _sent(*_BASE, "X-Line: a\nContent-Length: 1"),
        _sent(*_BASE, "X-Return: a\rb"),
        _sent(*_BASE, "X-Null: a\0b"),
        _sent(*_BASE, "X-Latin: \xe9"),
        _sent(*_BASE[:2], "Content-Length: 2\rX: 1"),
        _sent("Content-Length: 2\rXHost: shop", *_BASE[:2]),
        _sent("Idempotency-Key: a\rZHost: b", *_BASE),
        _sent("Content-Length: 2", "Idempotency-Key: a\rZHost: b", *_BASE[:2]),
        _sent(*_BASE, "Proxy-Connection: close"),
        _sent(*_BASE, "Sec-WebSocket-Key1: a"),
        _sent(*_BASE, *[f"X-{n}: 1" for n in range(64)]),
    ],
)
def test_ambiguous_submissions_are_left_to_aiohttps_parser(data: bytes) -> None:
    assert _read(data) is None


def test_a_line_of_spaces_takes_linear_time() -> None:
    """A regular expression that backtracks over spaces would take seconds here."""
    parser = SubmissionParser(limits=_LIMITS)
    for n in range(200):
        assert parser.read(_sent(*_BASE, f"X-{n}: " + " " * 3500 + "\x01")) is None


def _parsed(data: bytes) -> list[tuple[Any, bytes]]:
    """Return the messages that aiohttp's parser reads, each with its body."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(
            BaseProtocol(loop), loop, 2**16, max_line_size=8190, max_field_size=8190, max_headers=64
        )
        messages, _, tail = parser.feed_data(data)
        assert tail == b""
        assert all(payload.is_eof() for _, payload in messages)
        bodies = [payload.read_nowait() for _, payload in messages]
        return [(message, body) for (message, _), body in zip(messages, bodies, strict=True)]
    finally:
        loop.close()


_NAMES = [
    "Host", "Authorization", "Content-Length", "Idempotency-Key", "Connection", "Content-Type",
    "Transfer-Encoding", "Content-Encoding", "X-Trace", "content-length", "idempotency-key",
    "X-Request-Id", "x-request-id",
]  # fmt: skip
_VALUES = ["2", "3", "Bearer k", "a", "keep-alive", "close", "application/json", "chunked", "gzip"]
_ends = st.sampled_from(["\r\n"] * 12 + ["\n", "\r", "\r\n ", "\r\n\t", "\0\r\n", " \r\n", "\x0b"])
_colons = st.sampled_from([": "] * 9 + [":", " :", ":  ", ":\t", "; "])
_fields = st.tuples(
    st.sampled_from(_NAMES) | st.text("Xx-\xe9 ", min_size=1, max_size=3),
    _colons,
    st.sampled_from(_VALUES) | st.text("ab \t\r\n\0\xe9,", max_size=6),
    _ends,
)


@given(
    fields=st.lists(_fields, max_size=5),
    is_based=st.booleans(),
    body=st.sampled_from([b"{}", b"{}\n", b"", b"2\r\n{}\r\n0\r\n\r\n", b"\r\n{}"]),
)
@example(fields=[("Content-Length", ": ", "2", "\r\n")], is_based=True, body=b"{}")
@example(fields=[("Idempotency-Key", ": ", "a", "\r\n")], is_based=True, body=b"{}")
@example(fields=[("X-Request-Id", ": ", "a", "\r\n")], is_based=True, body=b"{}")
@example(
    fields=[("Content-Length", ": ", "2", "\r"), ("XHost", ": ", "a", "\r\n")],
    is_based=False,
    body=b"",
)
@example(fields=[("X", ": ", "a\r\nContent-Length: 3", "\r\n")], is_based=True, body=b"{}\n")
def test_aiohttps_parser_reads_every_parsed_submission_the_same(
    fields: list[tuple[str, str, str, str]], is_based: bool, body: bytes
) -> None:
    head = "POST /v1/orders HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in _BASE * is_based)
    head += "".join("".join(field) for field in fields) + "\r\n"
    data = head.encode("latin-1") + body
    read = _read(data)
    if read is None:
        return
    try:
        ((message, parsed_body),) = _parsed(data)
    except HttpProcessingError as exc:
        raise AssertionError(f"aiohttp's parser rejects {data!r}") from exc
    headers = message.headers
    assert (message.method, message.path) == ("POST", "/v1/orders")
    assert headers.getall("Authorization") == [read.head.authorization]
    assert headers.get("Idempotency-Key") == read.idempotency_key
    assert headers.getall("X-Request-Id", []) == [read.request_id] * bool(read.request_id)
    assert parsed_body == read.body
    assert message.should_close == read.head.closes
    assert not (message.chunked or message.upgrade or message.compression)
