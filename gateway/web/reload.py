"""The configuration of a gateway process: what a reload reads, and how it is put into force."""

from collections.abc import Callable

from msgspec import Struct

from gateway.clients.inventory import HttpInventory
from gateway.domain.screening import Screening
from gateway.intake import channel_policies
from gateway.intake import screening as configured_rules
from gateway.overload import rate_limit
from gateway.runtime import live, reload_plan
from gateway.runtime.live import Limits, Live
from gateway.runtime.reload_plan import Configuration, Plan
from gateway.runtime.settings import Settings
from gateway.web import accounts as provider_accounts
from gateway.web import wiring
from gateway.web.handlers.callbacks import Accounts
from gateway.web.transport.early_rejection import EarlyRejection
from gateway.wiring import Gateway


class ReadConfiguration(Struct, frozen=True):
    """A configuration that was read and built, and is not yet in force.

    ``loaded``: the settings as they were read; ``settings``: what is in force of them afterwards.
    """

    loaded: Settings
    settings: Settings
    accounts: Accounts
    inventory_token: str
    rules: Screening

    def __repr__(self) -> str:
        """Return no values: a representation may end up in logs."""
        return "ReadConfiguration()"


class GatewayConfiguration:
    """Replaces accounts, channels, rules, limits and secrets of a running gateway process."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        accounts: Live[Accounts],
        early_rejection: EarlyRejection,
        inventory: HttpInventory,
        load: Callable[[], Settings],
    ) -> None:
        """``load``: reads the settings as at the start; raises ``SettingsError``."""
        self._gateway = gateway
        self._accounts = accounts
        self._early_rejection = early_rejection
        self._inventory = inventory
        self._load = load
        self._settings = gateway.settings

    def read(self) -> ReadConfiguration:
        """Read settings and secrets, and build the accounts. Raises ``SettingsError``."""
        loaded = self._load()
        settings = reload_plan.in_force(self._settings, loaded)
        return ReadConfiguration(
            loaded=loaded,
            settings=settings,
            accounts=provider_accounts.build(settings, before=self._accounts.now),
            inventory_token=wiring.inventory_token(settings),
            rules=configured_rules.load(settings),
        )

    def apply(self, read: ReadConfiguration) -> Plan:
        """Put into force what was read; return what changed."""
        gateway = self._gateway
        # First everything that can fail, beside what is in use.
        plan = reload_plan.plan(
            _configuration(
                self._settings, self._accounts.now, self._inventory.token, gateway.rules.now
            ),
            _configuration(read.loaded, read.accounts, read.inventory_token, read.rules),
            limits=Limits.__struct_fields__,
        )
        limits, policies = live.limits(read.settings), channel_policies.of(read.settings)
        table = self._early_rejection.table(provider_accounts.retry_replies(read.accounts))
        provider_accounts.hand_over(self._accounts.now, read.accounts, now=gateway.clock.now())
        # Then what cannot fail, between two steps of the loop: no request sees half of it.
        self._settings = read.settings
        self._accounts.now = read.accounts
        self._early_rejection.use(table)
        self._inventory.token = read.inventory_token
        gateway.outbox_signal.is_on = bool(read.settings.targets)
        gateway.policies.now = policies
        gateway.rules.now = read.rules
        gateway.limits.now = limits
        now_s = gateway.clock.monotonic_s()
        gateway.key_rate_limits.change(
            rate=limits.key_requests_per_s_max, burst=limits.key_burst, now_s=now_s
        )
        gateway.channel_rate_limits.now = rate_limit.by_channel(
            read.settings.channels, before=gateway.channel_rate_limits.now, now_s=now_s
        )
        return plan


def _configuration(
    settings: Settings, accounts: Accounts, token: str, rules: Screening
) -> Configuration:
    return Configuration(
        settings=settings,
        accounts=provider_accounts.configured(accounts),
        inventory_token=reload_plan.digest(token),
        rule_files=rules.files,
    )
