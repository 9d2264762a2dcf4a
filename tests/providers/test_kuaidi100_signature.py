"""Whom Kuaidi100's adapter believes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import kuaidi100

from .kuaidi100_samples import ADAPTER, DELIVERED, NEXT_SALT, SALT, param, posted, sign, signed
from .support import account, message, rejection, tampered, verdict

PARAM = param("shutdown")


def test_every_live_salt_counts() -> None:
    """During a rotation, pushes with either salt are accepted."""
    both = kuaidi100.adapter(account(NEXT_SALT, SALT))
    for salt in (SALT, NEXT_SALT):
        assert both.read(signed(PARAM, salt=salt)) == ADAPTER.read(DELIVERED)
    assert rejection(ADAPTER, signed(PARAM, salt=NEXT_SALT)) == "bad_signature"


@pytest.mark.parametrize("change", [str.lower, str.upper, str.swapcase])
def test_case_does_not_count(change: object) -> None:
    """The signature is hex: upper case as documented, lower case as well."""
    assert callable(change)
    assert ADAPTER.read(posted(sign=change(sign(PARAM)), param=PARAM)) == ADAPTER.read(DELIVERED)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"param": PARAM}, "missing_signature"),
        ({"param": PARAM, "sign": ""}, "missing_signature"),
        ({"param": PARAM, "sign": "0" * 32}, "bad_signature"),
        ({"param": PARAM, "sign": sign(PARAM)[:-1]}, "bad_signature"),
        ({"param": PARAM, "sign": sign(PARAM) + " "}, "bad_signature"),
        ({"param": PARAM, "sign": b"\xff" * 32}, "bad_signature"),
        ({"param": PARAM, "sign": "\u0131" * 32}, "bad_signature"),
        ({"param": PARAM + " ", "sign": sign(PARAM)}, "bad_signature"),
        ({"sign": sign(PARAM)}, "bad_signature"),
        ({"param": PARAM, "sign": sign(PARAM, salt="")}, "bad_signature"),
    ],
)
def test_forms(form: dict[str, str | bytes], reason: str) -> None:
    """A form that does not prove its param is rejected; unsigned ones too."""
    assert rejection(ADAPTER, posted(**form)) == reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"=1",
        b"param=%zz&sign=0",
        DELIVERED.body + b"&param=%7B%7D",
        DELIVERED.body + b"&sign=0",
        b"param=%7B%7D&sig%6e=0&sign=1",
        b"&".join(b"f%d=1" % n for n in range(201)),
        b'{"param":{},"sign":"0"}',
    ],
)
def test_what_is_no_form_is_rejected(body: bytes) -> None:
    """Two fields of a name, a broken escape or another content type is rejected."""
    assert verdict(ADAPTER, message(body, {})) is None


def test_other_fields_do_not_count() -> None:
    """Only param is signed, so nothing else is looked at."""
    received = posted(order_no="SO-1", param=PARAM, sign=sign(PARAM))
    assert ADAPTER.read(received) == ADAPTER.read(DELIVERED)


def test_param_is_decoded_once() -> None:
    """A form decoded twice on the way does not match any more."""
    twice = b"param=" + PARAM.encode().replace(b"%", b"%25").replace(b"&", b"%26")
    received = message(twice + b"&sign=" + sign(PARAM).encode(), {})
    assert verdict(ADAPTER, received) is None


def test_nothing_moves_between_the_parts() -> None:
    """What was signed with one live salt is no push with what moved into param."""
    tail = "}extended"
    both = kuaidi100.adapter(account(SALT, tail + SALT))
    assert sign(PARAM + tail) == sign(PARAM, salt=tail + SALT)
    assert rejection(both, posted(param=PARAM + tail, sign=sign(PARAM + tail))) == "malformed"
    both = kuaidi100.adapter(account(SALT, "}" + SALT))
    assert rejection(both, posted(param=PARAM[:-1], sign=sign(PARAM))) == "malformed"


@given(tampered(DELIVERED.body))
def test_tampered_bodies_never_change_the_push(body: bytes) -> None:
    """A body that was tampered with is rejected, or says the very same thing."""
    assert verdict(ADAPTER, message(body, {})) in (None, ADAPTER.read(DELIVERED))


@given(tampered(PARAM.encode()))
def test_tampered_params_are_rejected(text: bytes) -> None:
    """A param that differs in any byte is rejected under the old signature."""
    if text != PARAM.encode():
        assert rejection(ADAPTER, posted(param=text, sign=sign(PARAM))) == "bad_signature"


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_any_bytes_are_rejected(body: bytes, signature: bytes) -> None:
    """No body and no signature makes anything but a rejection escape."""
    assert verdict(ADAPTER, message(body, {})) is None
    assert verdict(ADAPTER, posted(param=body, sign=signature)) is None
