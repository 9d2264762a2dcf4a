"""The provider accounts of a process: built from its settings, and built anew by a reload."""

import contextlib
from collections.abc import Sequence
from datetime import datetime

from gateway.domain.errors import Rejected
from gateway.intake import channel_policies
from gateway.providers import contract, registry
from gateway.runtime import reload_plan
from gateway.runtime.reload_plan import ConfiguredAccount
from gateway.runtime.settings import Account, Settings, SettingsError, secret
from gateway.web.handlers.callbacks import Accounts, ProviderAccount


def build(settings: Settings, *, before: Accounts) -> Accounts:
    """Return the configured accounts; reads their secrets. Raises ``SettingsError`` that names one.

    An account of ``before`` that has not changed keeps its adapter, with all that this has learnt.
    """
    if settings.role == "query":
        # A process that only reads needs no provider's secrets and cannot leak what it does not
        # have.
        return {}
    policies = channel_policies.of(settings)
    accounts = {}
    for account in settings.accounts:
        key = account.provider, account.name
        try:
            registry.check_options(account.provider, as_told(account))
            secrets = [secret(reference) for reference in account.secrets]
            configured = ConfiguredAccount(account, tuple(map(reload_plan.digest, secrets)))
            adapter = _kept(before.get(key), configured)
            if adapter is None:
                adapter = registry.build(account.provider, as_told(account, secrets))
            is_test = is_test_of(account, adapter)
        except ValueError as exc:
            raise SettingsError(f"accounts: {account.provider}/{account.name}: {exc}") from exc
        accounts[key] = ProviderAccount(
            provider=account.provider,
            name=account.name,
            policies={channel: policies[channel] for channel in account.channels},
            adapter=adapter,
            configured=configured,
            is_test=is_test,
            body_bytes_max=registry.PROVIDERS[account.provider].body_bytes_max,
        )
    return accounts


def as_told(account: Account, secrets: Sequence[str] = ()) -> contract.Account:
    """Return an account of the settings as its provider is told of it."""
    return contract.Account(account.name, secrets, account.options, account.channels)


def is_test_of(account: Account, adapter: contract.Adapter) -> bool:
    """Return whether an account pays test orders. Raises ``ValueError`` for a contradiction."""
    if not isinstance(adapter, contract.Environment):
        return bool(account.is_test)
    if account.is_test not in (None, adapter.is_test):
        kind = "test" if adapter.is_test else "live"
        raise ValueError(f"is_test contradicts the options, which are those of a {kind} account")
    return adapter.is_test


def configured(accounts: Accounts) -> dict[str, ConfiguredAccount]:
    """Return what accounts were made from, by their names in logs."""
    return {
        reload_plan.label(each.configured.account): each.configured for each in accounts.values()
    }


def retry_replies(accounts: Accounts) -> dict[tuple[str, str], contract.Reply]:
    """Return the reply of each account for "try again later"."""
    return {key: account.adapter.reply("later") for key, account in accounts.items()}


def hand_over(before: Accounts, after: Accounts, *, now: datetime) -> None:
    """Teach adapters that take another's place the documents that this one has learnt.

    What they do not trust, as their account trusts other roots now, they do not take over.
    """
    for key, account in after.items():
        old = before[key].adapter if key in before else None
        new = account.adapter
        if old is new or not isinstance(old, contract.Learner):
            continue
        if isinstance(new, contract.Learner):
            for url, content in old.documents().items():
                with contextlib.suppress(Rejected):
                    new.learn(url, content, now=now)


def _kept(before: ProviderAccount | None, configured: ConfiguredAccount) -> contract.Adapter | None:
    """Return the adapter of an account that is configured as before, wherever its secrets are."""
    if before is None or before.configured.secrets != configured.secrets:
        return None
    old, new = before.configured.account, configured.account
    is_same = (old.options, old.channels) == (new.options, new.channels)
    return before.adapter if is_same else None
