"""Percent-decoding: as the standard library does it, in a fraction of its time."""

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.shared import forms

_BAD = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PIECES = st.sampled_from(
    [b"=", b"%", b"%3D", b"=41", b"%0a", b"\n", b"\r\n", b" ", b"_", b"+", b"."]
)


@given(st.lists(_PIECES | st.binary(max_size=3)).map(b"".join))
def test_it_decodes_what_the_standard_library_decodes(text: bytes) -> None:
    """Signs that mean something in quoted-printable are among them."""
    expected = text if _BAD.search(text) else unquote_to_bytes(text)
    assert forms.unescaped(text) == expected


@given(st.binary(), st.sampled_from(["", "/={}", "\n"]))
def test_what_was_escaped_comes_back(content: bytes, safe: str) -> None:
    assert forms.unescaped(quote_from_bytes(content, safe).encode()) == content


@pytest.mark.parametrize("text", [b"100%", b"%zz", b"%e4%b", b"%e4%%25"])
def test_an_escape_of_nothing_leaves_the_text_alone(text: bytes) -> None:
    assert forms.unescaped(text) == text
