"""Forged messages of every simulated provider are rejected, however they are modified.

What is changed on the way is rejected, or it is provably the same message: it has the same effect
under the same key. What every provider must do besides: ``test_contract.py``.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import events
from gateway.providers import contract
from ops.simulators.contract import Kind, Posted

from . import subjects
from .subjects import NAMES, Subject, subject
from .support import NOW, header_values, tampered

#: Those whose signature does not cover when it happened, nor why and until when to answer.
TIMELESS = frozenset({"adyen"})


def reading_of(of: Subject, body: bytes, headers: Mapping[str, str]) -> Any:
    """Return the reading, or None if it is rejected; any other exception is a failure."""
    reading = subjects.reading(of.adapter, Posted(headers, body))
    if not isinstance(reading, contract.Reading):
        return None
    items = [(item.key, _timeless(of.name, item.event)) for item in reading.items]
    return items, reading.reply


def _timeless(name: str, event: Any) -> Any:
    if name not in TIMELESS:
        return event
    if isinstance(event, events.Dispute):
        event = msgspec.structs.replace(event, reason="", due_at=None)
    return msgspec.structs.replace(event, occurred_at=NOW)


@pytest.mark.parametrize(("name", "kind"), subjects.cases())
def test_a_bent_message_is_rejected_or_the_same(name: str, kind: Kind) -> None:
    """Flipped, cut, doubled, swapped, inserted: in the body or in any header."""
    of = subject(name)
    posted, other = (subjects.posted(name, kind, serial) for serial in ("T1", "T2"))
    honest = reading_of(of, posted.body, posted.headers)

    @settings(max_examples=60, database=None)
    @given(st.data())
    def bend(data: st.DataObject) -> None:
        body, headers = _bent(data, posted, other)
        assert reading_of(of, body, headers) in (None, honest)

    bend()


def _bent(data: st.DataObject, posted: Posted, other: Posted) -> tuple[bytes, dict[str, str]]:
    headers = dict(posted.headers)
    part = data.draw(st.sampled_from(["body", *headers]))
    if part == "body":
        return data.draw(tampered(posted.body)), headers
    value = headers[part]
    how = data.draw(st.sampled_from(["bend", "drop", "odd", "twice", "case", "other's"]))
    if how == "drop":
        del headers[part]
    elif how == "bend":
        headers[part] = data.draw(tampered(value.encode())).decode("utf-8", "surrogateescape")
    elif how == "odd":
        headers[part] = data.draw(header_values)
    else:
        headers[part] = {
            "twice": f"{value},{value}",
            "case": value.swapcase(),
            "other's": other.headers[part],
        }[how]
    return posted.body, headers


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_two_messages_do_not_mix(name: str) -> None:
    """The body of one under the headers of another: only what carries its own signature passes."""
    of = subject(name)
    one, two = (subjects.posted(name, of.kinds[0], serial) for serial in ("T1", "T2"))
    honest = reading_of(of, two.body, two.headers)
    assert reading_of(of, two.body, one.headers) in (None, honest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value", ["", ",", "=", "A", "A" * 100_000, "=" * 5000, "v1," * 5000, "\x00", "\udcff", "None"]
)
def test_a_signature_of_any_other_length_is_rejected(name: str, value: str) -> None:
    """Every header at once and each by itself, longer and shorter than a signature can be."""
    of = subject(name)
    posted = subjects.posted(name, of.kinds[0])
    honest = reading_of(of, posted.body, posted.headers)
    for header in posted.headers:
        headers = {**posted.headers, header: value}
        assert reading_of(of, posted.body, headers) in (None, honest)
    reading_of(of, posted.body, dict.fromkeys(posted.headers, value))
