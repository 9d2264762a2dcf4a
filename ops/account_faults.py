"""What is wrong with a provider account of the settings: one answer for `config` and `doctor`."""

from collections.abc import Mapping

from gateway.providers import registry
from gateway.runtime.settings import Account, SettingsError, secret
from gateway.web import accounts


def of(account: Account, environ: Mapping[str, str]) -> str:
    """Return what makes the gateway refuse an account, or ``""``. Secrets are not at fault.

    One that cannot be fetched here hides what only shows with it: whether a certificate fits, say.
    """
    try:
        registry.check_options(account.provider, accounts.as_told(account))
        try:
            secrets = fetched(account, environ)
        except SettingsError:
            return ""
        adapter = registry.build(account.provider, accounts.as_told(account, secrets))
        accounts.is_test_of(account, adapter)
    except ValueError as exc:
        return str(exc)
    return ""


def fetched(account: Account, environ: Mapping[str, str]) -> list[str]:
    """Return the secrets of an account. Raises ``SettingsError`` that names the one it lacks."""
    return [secret(reference, environ) for reference in account.secrets]
