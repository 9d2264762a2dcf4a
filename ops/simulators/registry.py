"""The registry of simulated providers: every module beside this one that defines a simulator."""

import importlib
import pkgutil
from typing import Protocol, cast

from ops import simulators
from ops.simulators.contract import Account, Forgery, Kind, Simulator, Trade

_COMMON = frozenset({"contract", "keys", "registry", "sending", "shared"})


class Provider(Protocol):
    """The interface of a provider's module."""

    KINDS: frozenset[Kind]
    FORGERIES: frozenset[Forgery]
    CURRENCIES: tuple[str, ...]

    def create(self) -> Account:
        """Return a new account with its own keys."""
        ...

    def simulator(self, account: Account) -> Simulator:
        """Return the simulated provider of an account."""
        ...

    def transaction_no(self, trade: Trade) -> str:
        """Return the number that the gateway books the payment of a trade under."""
        ...


def names() -> list[str]:
    """Return the names of all simulated providers, sorted."""
    found = {module.name for module in pkgutil.iter_modules(simulators.__path__)}
    return sorted(found - _COMMON)


def provider(name: str) -> Provider:
    """Return one provider of ``names``."""
    return cast("Provider", importlib.import_module(f"ops.simulators.{name}"))
