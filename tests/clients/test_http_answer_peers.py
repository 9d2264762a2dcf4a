"""What our reader takes for an answer, h11 takes for the same: no answer is read in two ways."""

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clients.call_failures import CallFailed
from gateway.clients.http_answer import AnswerReader

_SAMPLES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
    b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nDate: Mon, 30 Nov 2026 20:00:00 GMT\r\n\r\nuntil the end",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
]
_PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b";", b"\x00", b"0", b"5", b"-1", b"+5", b"0x5",
    b"Content-Length: 5\r\n", b"content-length: 6\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n", b"Connection: close\r\n", b" folded\r\n", b"\xff",
    b"HTTP/1.1 200 OK\r\n\r\n",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """An answer with some bytes taken out and others put in."""
    text = draw(st.sampled_from(_SAMPLES))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 12))
        text = text[:at] + draw(st.sampled_from([b"", *_PIECES])) + text[at + length :]
    return text


def ours(text: bytes) -> tuple[int, bytes, bool] | None:
    """Status, body, and whether a next request may follow; None: it is no answer."""
    read = AnswerReader(body_bytes_max=1000)
    try:
        is_complete = read.feed(text)
        is_kept = is_complete and read.is_reusable
        if not is_complete:
            read.end()
    except CallFailed:
        return None
    assert read.answer is not None
    return read.answer.status, read.answer.body, is_kept


def theirs(text: bytes) -> tuple[int, bytes, bool] | None:
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="POST", target="/", headers=[("Host", "h")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(text)
    peer.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = peer.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                rest = peer.trailing_data[0]
                return status, body, peer.their_state is h11.DONE and not rest
            elif isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA:
                return None
    except h11.RemoteProtocolError:
        return None


@settings(max_examples=1500)
@given(mutated())
def test_what_we_take_for_a_success_they_do(text: bytes) -> None:
    said = ours(text)
    if said is None or not 200 <= said[0] < 300:
        return
    peers = theirs(text)
    assert peers is not None and peers[:2] == said[:2]
    # We may close where they would go on, and never the other way round.
    assert peers[2] or not said[2]


def test_both_take_the_samples() -> None:
    for text in _SAMPLES:
        assert ours(text) is not None and theirs(text) is not None
