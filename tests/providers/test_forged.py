"""Nothing forged gets in, whoever the provider: every simulated one, bent in every way.

What is changed on the way is refused, or it is provably the same message: it has the same effect
under the same key. A provider that gains a simulator is tried by itself.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.domain import errors, events
from gateway.providers import contract, registry
from ops.simulators import registry as simulated
from ops.simulators.contract import Account, Forgery, Kind, Posted, Simulator, Trade

from .support import NOW, header_values, tampered

NAMES = simulated.names()
MODULES = {name: simulated.provider(name) for name in NAMES}
ACCOUNTS = {name: MODULES[name].create() for name in NAMES}
SIMULATORS: Mapping[str, Simulator] = {
    name: MODULES[name].simulator(ACCOUNTS[name]) for name in NAMES
}
#: Those whose signature does not cover when it happened.
TIMELESS = frozenset({"adyen"})
_HONEST: tuple[Kind, ...] = (
    "placed", "paid", "partial_refund", "refund", "closed", "shipped", "delivered",
)  # fmt: skip


def adapter(name: str, ours: Account) -> contract.Adapter:
    account = contract.Account("main", list(ours.secrets), dict(ours.options), ("web",))
    return registry.build(name, account)


ADAPTERS = {name: adapter(name, ACCOUNTS[name]) for name in NAMES}
CASES = [(name, kind) for name in NAMES for kind in _HONEST if kind in MODULES[name].KINDS]


def trade(name: str, serial: str = "T1") -> Trade:
    currency = MODULES[name].CURRENCIES[0]
    return Trade(serial, f"SO-{serial}", Decimal(199), Decimal(9), currency)


def told(name: str, of: contract.Adapter, body: bytes, headers: Mapping[str, str]) -> Any:
    """Return what is told, or None if it is refused. Anything else that escapes is a failure."""
    try:
        reading = of.read(contract.Message(CIMultiDict(headers), body, NOW))
    except contract.DocumentMissing:
        # Nothing has an effect before the document was fetched from the provider's own host.
        return None
    except errors.Refused as refused:
        assert refused.reason in contract.REASONS
        assert refused.hint
        return None
    items = [(item.key, _timeless(name, item.event)) for item in reading.items]
    return items, reading.reply


def _timeless(name: str, event: Any) -> Any:
    if name in TIMELESS:
        return msgspec.structs.replace(event, occurred_at=NOW)
    return event


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_is_simulated_is_read(name: str, kind: Kind) -> None:
    """The ground that the other tests stand on: untouched, each of them is accepted."""
    posted = SIMULATORS[name].message(kind, trade(name), at=NOW)
    found = told(name, ADAPTERS[name], posted.body, posted.headers)
    assert found is not None
    assert not any(isinstance(event, events.Unmapped) for _, event in found[0])


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_bent_message_is_refused_or_the_same(name: str, kind: Kind) -> None:
    """Flipped, cut, doubled, swapped, inserted: in the body or in any header."""
    posted = SIMULATORS[name].message(kind, trade(name), at=NOW)
    other = SIMULATORS[name].message(kind, trade(name, "T2"), at=NOW)
    honest = told(name, ADAPTERS[name], posted.body, posted.headers)

    @settings(deadline=None, max_examples=60, database=None)
    @given(st.data())
    def bend(data: st.DataObject) -> None:
        body, headers = _bent(data, posted, other)
        assert told(name, ADAPTERS[name], body, headers) in (None, honest)

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
def test_forgeries_are_refused(name: str) -> None:
    kinds = [kind for kind in _HONEST if kind in MODULES[name].KINDS]
    forgeries: list[Forgery] = sorted(MODULES[name].FORGERIES)
    assert {"foreign_key", "changed"}.issubset(forgeries)
    for how in forgeries:
        posted = SIMULATORS[name].forged(how, kinds[0], trade(name), at=NOW)
        assert told(name, ADAPTERS[name], posted.body, posted.headers) is None, how


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_two_messages_do_not_mix(name: str) -> None:
    """The body of one under the headers of another: only what carries its own signature passes."""
    kind = next(kind for kind in _HONEST if kind in MODULES[name].KINDS)
    one, two = (SIMULATORS[name].message(kind, trade(name, n), at=NOW) for n in ("T1", "T2"))
    honest = told(name, ADAPTERS[name], two.body, two.headers)
    assert told(name, ADAPTERS[name], two.body, one.headers) in (None, honest)


@pytest.mark.parametrize("name", NAMES)
def test_another_account_of_the_provider_is_refused(name: str) -> None:
    """A true message, signed for another merchant with keys of their own."""
    theirs = MODULES[name].simulator(MODULES[name].create())
    kind = next(kind for kind in _HONEST if kind in MODULES[name].KINDS)
    posted = theirs.message(kind, trade(name), at=NOW)
    assert told(name, ADAPTERS[name], posted.body, posted.headers) is None


@pytest.mark.parametrize("name", NAMES)
def test_what_another_provider_signed_is_refused(name: str) -> None:
    for sender in NAMES:
        if sender == name:
            continue
        for kind in MODULES[sender].KINDS:
            posted = SIMULATORS[sender].message(kind, trade(sender), at=NOW)
            found = told(name, ADAPTERS[name], posted.body, posted.headers)
            assert found is None, (sender, kind)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value", ["", ",", "=", "A", "A" * 100_000, "=" * 5000, "v1," * 5000, "\x00", "\udcff", "None"]
)
def test_a_signature_of_any_other_length_is_refused(name: str, value: str) -> None:
    """Every header at once and each by itself, longer and shorter than a signature can be."""
    kind = next(kind for kind in _HONEST if kind in MODULES[name].KINDS)
    posted = SIMULATORS[name].message(kind, trade(name), at=NOW)
    honest = told(name, ADAPTERS[name], posted.body, posted.headers)
    for header in posted.headers:
        headers = {**posted.headers, header: value}
        assert told(name, ADAPTERS[name], posted.body, headers) in (None, honest)
    told(name, ADAPTERS[name], posted.body, dict.fromkeys(posted.headers, value))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{}", b"[]", b"null", b"\xff\xfe", b"\x00" * 100, b"[" * 60_000,
        b'{"a":' * 9000, b"a=b&" * 9000, b"=&=&", b"%", b"%ff=%00", b'{"a":1e400}', b"NaN",
        b'"\\ud800"', b"9" * 60_000,
    ],
)  # fmt: skip
def test_odd_bodies_are_refused(name: str, body: bytes) -> None:
    kind = next(kind for kind in _HONEST if kind in MODULES[name].KINDS)
    posted = SIMULATORS[name].message(kind, trade(name), at=NOW)
    assert told(name, ADAPTERS[name], body, posted.headers) is None
    assert told(name, ADAPTERS[name], body, {}) is None
