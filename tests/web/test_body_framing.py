"""Body framing: the length of a rejected body does not depend on what is cached."""

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from gateway.web.transport.body_framing import BodyFraming, _declared

_FIELD = st.sampled_from(
    [
        b"Host: g", b"Content-Length: 12", b"content-length: 7", b"CONTENT-LENGTH: 3",
        b"Content-Length:  5 ", b"Content-Length: 0x1", b"Content-Length: -1",
        b"Content-Length: 99999999", b"Content-Length: 70000", b"Content-Length: 1\r2",
        b"Content-Length: ", b"Content-Length: 1\n2", b"Idempotency-Key: a", b"idempotency-key: b",
        b"Idempotency-Key: a\rContent-Length: 9", b"Idempotency-Key: a\nContent-Length: 9",
        b"Idempotency-Key: \x00", b"Idempotency-Key: \xe9", b"IDEMPOTENCY-KEY: c",
        b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Connection: close",
        b"Connection: keep-alive", b"Upgrade: h2c", b" folded: 1", b"\tfolded", b"X: y",
    ]
)  # fmt: skip
_FIELDS = st.lists(_FIELD, max_size=5).map(lambda fields: b"\r\n".join([b"", *fields, b""]))


@given(st.lists(_FIELDS, min_size=1, max_size=8))
@examples(max_examples=500)
def test_the_cache_changes_no_length(sent: list[bytes]) -> None:
    framing = BodyFraming()
    for fields in sent + sent:
        assert framing.body_bytes(fields) == _declared(fields.lower()), fields


def test_idempotency_key_and_length_are_not_cached() -> None:
    framing = BodyFraming()
    for number in range(1000):
        fields = b"\r\nHost: g\r\nIdempotency-Key: k%d\r\nContent-Length: %d\r\n" % (number, number)
        assert framing.body_bytes(fields) == number
    assert len(framing._cached) == 1


def test_the_cache_has_a_bound() -> None:
    framing = BodyFraming()
    for number in range(2000):
        assert framing.body_bytes(b"\r\nHost: g%d\r\n" % number) == 0
    assert len(framing._cached) <= 256
    framing.body_bytes(b"\r\nX: " + b"y" * 8000 + b"\r\n")
    assert all(len(fields) < 5000 for fields in framing._cached)
