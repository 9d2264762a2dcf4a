"""An answer is read the same however it is cut, within bounds, and never in two ways."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clients.call_failures import CallFailed, ConnectionGone
from gateway.clients.http_answer import Answer, AnswerReader

_BYTES_MAX = 100
_OK = b"HTTP/1.1 200 OK\r\n"
_LENGTH = _OK + b"Content-Length: 5\r\n\r\nhello"
_CHUNKED = (
    _OK + b"Transfer-Encoding: chunked\r\n\r\n"
    b"3;name=value\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + _LENGTH
_ERROR = b"HTTP/1.1 503 No\r\nRetry-After:  120 \r\nContent-Length: 5\r\n\r\nlater"


def reader() -> AnswerReader:
    return AnswerReader(body_bytes_max=_BYTES_MAX)


def answer_to(*pieces: bytes) -> tuple[Answer, bool]:
    """The answer, and whether the connection may be used again."""
    read = reader()
    is_complete = False
    for piece in pieces:
        assert not is_complete
        is_complete = read.feed(piece)
    assert is_complete or read.end()
    assert read.answer is not None
    return read.answer, read.is_reusable


@pytest.mark.parametrize("text", [_LENGTH, _CHUNKED, _INTERIM])
def test_an_answer_in_one_piece(text: bytes) -> None:
    assert answer_to(text) == (Answer(200, b"hello"), True)


@given(st.sampled_from([_LENGTH, _CHUNKED, _INTERIM]), st.sets(st.integers(1, 200)))
def test_an_answer_in_any_pieces(text: bytes, cuts: set[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    assert answer_to(*pieces) == (Answer(200, b"hello"), True)


@pytest.mark.parametrize("text", [_LENGTH, _CHUNKED, _INTERIM])
def test_a_connection_that_ends_early_is_no_answer(text: bytes) -> None:
    for length in range(1, len(text)):
        read = reader()
        assert not read.feed(text[:length])
        with pytest.raises(CallFailed, match="in the middle of its answer"):
            read.end()
    with pytest.raises(ConnectionGone):
        reader().end()


def test_an_answer_that_ends_with_its_connection() -> None:
    assert answer_to(_OK + b"\r\nhel", b"lo") == (Answer(200, b"hello"), False)


@pytest.mark.parametrize(
    ("head", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nconnection: Foo , CLOSE\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.1 200\r\n", True),
    ],
)
def test_which_connections_are_kept(head: bytes, is_reusable: bool) -> None:
    assert answer_to(head + b"Content-Length: 0\r\n\r\n") == (Answer(200, b""), is_reusable)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_that_never_have_a_body(status: bytes) -> None:
    answer, is_reusable = answer_to(b"HTTP/1.1 " + status + b"\r\nContent-Length: 9\r\n\r\n")
    assert answer == Answer(int(status[:3]), b"") and is_reusable


def test_more_than_was_asked_for_ends_the_connection() -> None:
    """What follows an answer would be taken for the next one."""
    assert answer_to(_LENGTH + _LENGTH) == (Answer(200, b"hello"), False)


def test_an_error_is_an_answer_with_its_head() -> None:
    """Its body is not waited for: the connection stays only if all of it is there."""
    assert answer_to(_ERROR) == (Answer(503, b"", "120", b"later"), True)
    assert answer_to(_ERROR[:-2]) == (Answer(503, b"", "120", b"lat"), False)
    assert answer_to(_ERROR[:-5]) == (Answer(503, b"", "120", b""), False)
    assert answer_to(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\nmoved") == (
        Answer(302, b"", excerpt=b"moved"),
        False,
    )


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 99999999\r\n\r\n",
        b"Content-Length: nonsense\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n",
        b"\r\n",
    ],
)
def test_an_error_says_so_whatever_its_body_is(fields: bytes) -> None:
    text = b"HTTP/1.1 410 Gone\r\n" + fields + b"x" * 5000
    try:
        answer, is_reusable = answer_to(text)
    except CallFailed as exc:
        assert "ambiguous" in str(exc)
        return
    assert answer.status == 410 and not is_reusable and len(answer.excerpt) <= 1024


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"<!doctype html>", "not HTTP"),
        (b"HTTP/2 200 OK\r\n\r\n", "not HTTP"),
        (b"ICY 200 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "malformed"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "malformed"),
        (b"HTTP/1.2 200 OK\r\n\r\n", "malformed"),
        (_OK + b"Content-Length : 5\r\n\r\nhello", "malformed"),
        (_OK + b"No colon\r\n\r\n", "malformed"),
        (_OK + b"A: b\r\n folded\r\n\r\n", "malformed"),
        (_OK + b"A: b\nContent-Length: 5\r\n\r\nhello", "malformed"),
        (_OK + b"A: \x00\r\n\r\n", "malformed"),
        (_OK + b": x\r\n\r\n", "malformed"),
        (_OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "ambiguous"),
        (_OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "ambiguous"),
        (_OK + b"Content-Length: +5\r\n\r\nhello", "ambiguous"),
        (_OK + b"Content-Length: -1\r\n\r\nhello", "ambiguous"),
        (_OK + b"Content-Length: 0x5\r\n\r\nhello", "ambiguous"),
        (_OK + b"Content-Length: \r\n\r\nhello", "ambiguous"),
        (_OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "ambiguous"),
        (_OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "ambiguous"),
        (_OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "ambiguous"),
        (_OK + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\nhello", "compressed"),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", "chunks"),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", "chunks"),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n", "chunks"),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 300, "chunks"),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\n65\r\n", "more than 100 bytes"),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", "more than 100 bytes"),
        (_OK + b"Content-Length: 101\r\n\r\n", "more than 100 bytes"),
        (_OK + b"Content-Length: 999999999999999999\r\n\r\n", "more than 100 bytes"),
        (_OK + b"\r\n" + b"x" * 101, "more than 100 bytes"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "switched"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "never came"),
        (_OK + b"X: " + b"y" * 20_000 + b"\r\n\r\n", "head has more"),
        (_OK + b"X: " + b"y" * 20_000, "head has more"),
        (_OK + b"X: y\r\n" * 4000, "head has more"),
    ],
)
def test_what_is_no_answer(text: bytes, why: str) -> None:
    with pytest.raises(CallFailed, match=why):
        reader().feed(text)


def test_what_a_server_spends_on_chunks_has_a_bound() -> None:
    """Chunks of one byte each with long extensions, and trailers that never end."""
    head = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(CallFailed, match="more than"):
        reader().feed(head + (b"1;" + b"x" * 200 + b"\r\ny\r\n") * 99)
    read = reader()
    read.feed(head + b"0\r\n")
    with pytest.raises(CallFailed, match="more than"):
        for _ in range(10_000):
            read.feed(b"A: b\r\n")


def test_a_body_of_exactly_the_limit() -> None:
    body = b"x" * _BYTES_MAX
    for text in (
        _OK + b"Content-Length: 100\r\n\r\n" + body,
        _OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\n" + body + b"\r\n0\r\n\r\n",
        _OK + b"\r\n" + body,
    ):
        assert answer_to(text)[0] == Answer(200, body)
