"""Simulated providers, and the settings of their accounts."""

from collections.abc import Mapping
from pathlib import Path

from gateway.runtime import settings
from ops.harness import accounts_file
from ops.simulators import registry
from ops.simulators.contract import Account

#: Every provider with a simulator, and an account of it with keys of its own.
PROVIDERS = {name: registry.provider(name) for name in registry.names()}
ACCOUNTS: Mapping[str, Account] = {name: each.create() for name, each in PROVIDERS.items()}


def configured(directory: Path) -> list[settings.Account]:
    """Return the settings of an account ``main`` of each, with its secrets in ``directory``."""
    return [
        settings.Account(
            provider=name,
            name="main",
            channels=["web"],
            secrets=accounts_file.write_secrets(directory, name, account.secrets),
            options=dict(account.options),
        )
        for name, account in ACCOUNTS.items()
    ]
