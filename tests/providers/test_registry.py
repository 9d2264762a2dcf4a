"""The table of providers."""

import pytest

from gateway.providers import registry

from .support import account


def test_builds_what_is_known() -> None:
    """A provider's name and an account make an adapter that can reply."""
    adapter = registry.build("stripe", account("whsec_0123456789abcdef"))
    assert adapter.reply("accepted").status == 200


def test_unknown_provider_names_the_known() -> None:
    """An unknown provider is a sentence that lists the known ones."""
    with pytest.raises(ValueError, match=r"alipay, .*standard_webhooks, stripe"):
        registry.build("alipya", account("x"))


@pytest.mark.parametrize("provider", sorted(registry.FACTORIES))
def test_every_factory_wants_a_secret(provider: str) -> None:
    """No provider can be configured without a secret."""
    with pytest.raises(ValueError, match="secrets"):
        registry.build(provider, account(app_id="2021000117654321"))
