"""Every provider of the registry, ready for tests: an adapter, and a simulator with its keys.

A provider that is added to the registry is tried by itself; ``pieces`` says what it lacks.
"""

import functools
import importlib
from collections.abc import Mapping
from decimal import Decimal

import pytest
from msgspec import Struct

from gateway.domain import errors
from gateway.providers import contract, registry
from ops.simulators import registry as simulated
from ops.simulators.contract import Account, Kind, Posted, Simulator, Trade

from . import pieces
from .support import NOW, message

NAMES = sorted(registry.PROVIDERS)

#: Kinds about an order; the others are tests and greetings.
TELLING: tuple[Kind, ...] = (
    "placed", "paid", "part_paid", "rest_paid", "partial_refund", "refund_failed", "refund",
    "dispute_opened", "dispute_won", "dispute_lost", "closed", "shipped", "delivered",
)  # fmt: skip


class Subject(Struct, frozen=True):
    """One provider: what verifies, and what signs."""

    name: str
    adapter: contract.Adapter
    account: Account
    played: simulated.Provider
    simulator: Simulator

    @property
    def kinds(self) -> list[Kind]:
        """The kinds about an order that its simulator supports, the payment or the parcel first."""
        return [kind for kind in TELLING if kind in self.played.KINDS]

    def trade(self, serial: str = "T1", currency: str = "") -> Trade:
        currency = currency or self.played.CURRENCIES[0]
        return Trade(serial, f"SO-{serial}", Decimal(199), Decimal(9), currency)


@functools.cache
def subject(name: str) -> Subject:
    """Make the provider's account and both of its sides.

    Where one of them is missing the calling test is skipped: the test of the pieces fails.
    """
    if missing := pieces.missing_code(name):
        pytest.skip(missing[0])
    played = simulated.provider(name)
    ours = played.create()
    return Subject(name, build(name, ours), ours, played, played.simulator(ours))


@functools.cache
def posted(name: str, kind: Kind, serial: str = "T1") -> Posted:
    """Return a message of the provider about a trade, signed once for all tests."""
    of = subject(name)
    return of.simulator.message(kind, of.trade(serial), at=NOW)


def build(name: str, ours: Account, **changes: object) -> contract.Adapter:
    """Make the adapter of a simulated account, with some of its options changed."""
    return registry.build(name, configured(ours, dict(ours.options) | changes))


def configured(
    ours: Account, options: Mapping[str, object], *secrets: str, name: str = "main"
) -> contract.Account:
    """Return a simulated account as the settings give it to an adapter."""
    return contract.Account(name, list(secrets or ours.secrets), dict(options), ("web",))


def cases() -> list[tuple[str, Kind]]:
    """Return every provider with every kind about an order that its simulator supports."""
    found = {name: simulated.provider(name).KINDS for name in complete()}
    return [(name, kind) for name in found for kind in TELLING if kind in found[name]]


def complete() -> list[str]:
    """Return the providers whose code is complete."""
    return [name for name in NAMES if not pieces.missing_code(name)]


def options_of(name: str) -> type[Struct]:
    """Return the struct of what an account of the provider can set."""
    module = importlib.import_module(registry.PROVIDERS[name].adapter.__module__)
    options: type[Struct] = module.Options
    return options


def reading(of: contract.Adapter, posted: Posted) -> contract.Reading | str:
    """Return the reading, or the reason of the rejection; any other exception is a failure.

    A document that is missing is a reason too: nothing has an effect before it was fetched from
    the provider's own host.
    """
    try:
        return of.read(message(posted.body, posted.headers))
    except errors.Rejected as rejected:
        assert rejected.reason in contract.REASONS, f"{rejected.reason!r} is no reason of REASONS"
        assert rejected.hint, "a rejection without a hint"
        return rejected.reason
    except contract.DocumentMissing:
        assert isinstance(of, contract.Learner), "asks for a document, and cannot learn it"
        return "document"
