"""The providers there are. A new one is a file beside this one and a line here."""

from gateway.providers import alipay, contract, standard_webhooks, stripe

FACTORIES: dict[str, contract.Factory] = {
    "alipay": alipay.adapter,
    "standard_webhooks": standard_webhooks.adapter,
    "stripe": stripe.adapter,
}


def build(provider: str, account: contract.Account) -> contract.Adapter:
    """Make the adapter of an account. Raises ``ValueError`` with what to configure."""
    factory = FACTORIES.get(provider)
    if factory is None:
        known = ", ".join(sorted(FACTORIES))
        raise ValueError(f"unknown provider {provider!r}; known are {known}")
    return factory(account)
