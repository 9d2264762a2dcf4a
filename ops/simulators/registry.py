"""The simulated providers there are: every module beside this one that offers a simulator."""

import importlib
import pkgutil
from typing import Protocol, cast

from ops import simulators
from ops.simulators.contract import Account, Forgery, Kind, Simulator

_COMMON = frozenset({"contract", "keys", "registry", "sending", "shared"})


class Provider(Protocol):
    """What a provider's module offers."""

    KINDS: frozenset[Kind]
    FORGERIES: frozenset[Forgery]
    CURRENCIES: tuple[str, ...]

    def create(self) -> Account:
        """A new account with keys of its own."""
        ...

    def simulator(self, account: Account) -> Simulator:
        """The provider's side of an account."""
        ...


def names() -> list[str]:
    """Return the providers by name."""
    found = {module.name for module in pkgutil.iter_modules(simulators.__path__)}
    return sorted(found - _COMMON)


def provider(name: str) -> Provider:
    """Return one provider of ``names``."""
    return cast("Provider", importlib.import_module(f"ops.simulators.{name}"))
