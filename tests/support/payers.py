"""Payers of the orders, as in the demo, and their accounts in the settings of a gateway."""

from pathlib import Path

from gateway.runtime import settings
from loadtest import payers, sending
from loadtest.deployment import CHANNELS
from loadtest.payers.contract import Payer
from ops.harness import accounts_file


class Payers:
    """Stripe by its SDK, simulated Standard Webhooks and Alipay, each for one channel."""

    def __init__(self, directory: Path) -> None:
        self.accounts = payers.create()
        self.settings = [
            settings.Account(
                provider=payer.provider,
                name=sending.ACCOUNT_NAME,
                channels=[channel],
                secrets=accounts_file.write_secrets(directory, payer.provider, payer.secrets),
                options=dict(payer.options),
            )
            for payer, channel in zip(self.accounts, CHANNELS, strict=True)
        ]

    def pick(self, n: int) -> tuple[Payer, str]:
        """Return the payer and the channel of order ``n``, round robin."""
        index = n % len(self.accounts)
        return self.accounts[index], CHANNELS[index]
