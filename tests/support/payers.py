"""Provider accounts whose callbacks the providers' own libraries sign, and their settings."""

from pathlib import Path

from gateway.runtime import settings
from loadtest import sending
from loadtest.callbacks import Account
from loadtest.callbacks.alipay import Alipay
from loadtest.callbacks.standard_webhooks import StandardWebhooks
from loadtest.callbacks.stripe import Stripe
from loadtest.stage import CHANNELS
from ops.harness import accounts_file


class Payers:
    """One account at each of the three providers, each paid for the orders of one channel."""

    def __init__(self, directory: Path) -> None:
        self.accounts: list[Account] = [Stripe(), StandardWebhooks(), Alipay()]
        self.settings = []
        for account, channel in zip(self.accounts, CHANNELS, strict=True):
            self.settings.append(
                settings.Account(
                    provider=account.provider,
                    name=sending.ACCOUNT_NAME,
                    channels=[channel],
                    secrets=accounts_file.write_secrets(
                        directory, account.provider, [account.secret]
                    ),
                    options=dict(account.options),
                )
            )

    def pick(self, n: int) -> tuple[Account, str]:
        """The account and the channel of order ``n``: they take turns."""
        at = n % len(self.accounts)
        return self.accounts[at], CHANNELS[at]
