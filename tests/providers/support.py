"""Shared by the tests of all providers: messages, verdicts, and invariants of every reading."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.domain import errors, events, money, orders
from gateway.providers import contract

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())


def account(*secrets: str, **options: object) -> contract.Account:
    """Build an account as the settings would."""
    return contract.Account(name="shop", secrets=secrets, options=options, channels=("web",))


def message(body: bytes, headers: Mapping[str, str], *, now: datetime = NOW) -> contract.Message:
    """Build a callback as received, with case-insensitive headers."""
    return contract.Message(headers=CIMultiDict(headers), body=body, now=now)


def read_one(adapter: contract.Adapter, callback: contract.Message) -> events.Event:
    """Read a callback that carries one event."""
    (item,) = adapter.read(callback).items
    assert not isinstance(item.event, orders.Submission)
    return item.event


def rejection(adapter: contract.Adapter, callback: contract.Message) -> str:
    """Return the reason of the rejection; fail if there is none, or no hint."""
    with pytest.raises(errors.Rejected) as caught:
        adapter.read(callback)
    assert caught.value.hint, "a rejection without a hint"
    assert caught.value.reason in contract.REASONS
    return caught.value.reason


def verdict(adapter: contract.Adapter, callback: contract.Message) -> contract.Reading | None:
    """Return the reading, or None if it is rejected; any other exception is a failure."""
    try:
        reading = adapter.read(callback)
    except errors.Rejected as rejected:
        assert rejected.reason in contract.REASONS
        assert rejected.hint
        return None
    for item in reading.items:
        check_storable(item)
    return reading


def check_storable(item: contract.Item) -> None:
    """Check the invariants that the database and the fold rely on, for any content."""
    event = item.event
    assert 1 <= len(item.key) <= 140
    assert _is_token(item.key)
    if isinstance(event, orders.Submission):
        assert _is_token(event.order_no)
        assert 1 <= len(event.order_no) <= 64
        assert event.placed_at.tzinfo is not None
        assert len(event.to.country) == 2
        assert 1 <= len(event.items) <= orders.ITEMS_MAX
        return
    assert event.occurred_at.tzinfo is not None
    assert 1999 <= event.occurred_at.year <= 2100
    for text, length_max in (
        (events.order_no(event), 64),
        (events.transaction_id(event), 128),
        (getattr(event, "refund_no", ""), 128),
        (getattr(event, "dispute_no", ""), 128),
        (getattr(event, "tracking_no", ""), 64),
        (getattr(event, "kind", ""), 128),
    ):
        assert len(text) <= length_max
        assert not text or _is_token(text)
    for name in events.names(event)[1:]:
        assert _is_token(name)
        assert 1 <= len(name) <= 128
    if isinstance(event, events.Dispute):
        assert event.dispute_no
        assert len(event.reason) <= 128
        assert event.reason.isprintable()
        assert event.due_at is None or event.due_at.tzinfo is not None
    if isinstance(event, events.OF_A_PAYMENT):
        assert event.transaction_id
        assert type(event.amount) is Decimal
        assert money.fault(event.amount, money.DECIMALS[event.currency]) is None
        assert event.amount > 0 or isinstance(event, events.PaymentSucceeded)
        assert not event.amount.is_signed()
    if isinstance(event, events.Closed | events.Shipped | events.Delivered):
        assert event.order_no or events.tracking_no(event)
    if isinstance(event, events.Shipped):
        assert not event.parcel_no or _is_token(event.parcel_no)
        assert event.carrier.isprintable()
        assert max(len(event.carrier), len(event.parcel_no)) <= 64
        for line in event.lines:
            assert 1 <= len(line.sku) <= 64
            assert line.sku.isprintable()
            assert 1 <= line.quantity <= orders.QUANTITY_MAX


def _is_token(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


#: Any header value a server may hand on, surrogates of undecodable bytes included.
header_values = st.text(st.characters(codec=None), max_size=60) | st.text("tv01=,. abc9\udce4")

#: JSON values that are invalid almost everywhere.
odd_values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**53, 2**63, 2**64, 10**30, 10**400]),
    st.floats(),
    st.sampled_from(["", "0", "-1", "-0", "NaN", "sNaN", "1E+400", "1e-400", "1" * 3000, "\u0661"]),
    st.sampled_from(["A\x00B", "A\n", " A", "A" * 65, "A" * 129, "\ud800", "订单", "A\u2028B"]),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00"]),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


def replaced(tree: Any, path: list[Any], value: Any) -> Any:
    """Return a copy of the JSON tree with one value replaced."""
    if not path:
        return value
    copy = list(tree) if isinstance(tree, list) else dict(tree)
    copy[path[0]] = replaced(tree[path[0]], path[1:], value)
    return copy


def paths(tree: Any, so_far: tuple[Any, ...] = ()) -> list[list[Any]]:
    """List the paths to every value of a JSON tree, the tree itself included."""
    found = [list(so_far)]
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        children = tree.items()
    elif isinstance(tree, list):
        children = enumerate(tree)
    for key, value in children:
        found += paths(value, (*so_far, key))
    return found


@st.composite
def bent(draw: st.DrawFn, tree: Any) -> Any:
    """Draw the tree with one to three of its values replaced by odd ones."""
    for _ in range(draw(st.integers(1, 3))):
        tree = replaced(tree, draw(st.sampled_from(paths(tree))), draw(odd_values))
    return tree


@st.composite
def tampered(draw: st.DrawFn, text: bytes) -> bytes:
    """Draw the bytes with a flip, a cut, a doubling, a swap or an insertion."""
    start = draw(st.integers(0, max(len(text) - 1, 0)))
    end = draw(st.integers(start + 1, max(len(text), start + 1)))
    part = text[start:end]
    change = draw(st.sampled_from(["flip", "drop", "double", "swap", "insert"]))
    if change == "flip":
        bit = 1 << draw(st.integers(0, 7))
        return text[:start] + bytes([text[start] ^ bit]) + text[start + 1 :]
    if change == "drop":
        return text[:start] + text[end:]
    if change == "double":
        return text[:end] + part + text[end:]
    if change == "swap":
        return part + text[:start] + text[end:]
    return text[:start] + draw(st.binary(min_size=1, max_size=8)) + text[start:]
