"""The providers there are, each by an import and a line.

How to add one: ``.github/CONTRIBUTING.md``. What it lacks: ``tests/providers/test_contract.py``.
"""

from gateway.providers import (
    adyen,
    alipay,
    contract,
    doudian,
    douyin_pay,
    kuaidi100,
    paypal,
    shopify,
    standard_webhooks,
    stripe,
    unionpay,
    wechatpay,
    woocommerce,
    youzan,
)
from gateway.providers.shared import fields

PROVIDERS: dict[str, contract.Provider] = {
    "adyen": adyen.PROVIDER,
    "alipay": alipay.PROVIDER,
    "doudian": doudian.PROVIDER,
    "douyin_pay": douyin_pay.PROVIDER,
    "kuaidi100": kuaidi100.PROVIDER,
    "paypal": paypal.PROVIDER,
    "shopify": shopify.PROVIDER,
    "standard_webhooks": standard_webhooks.PROVIDER,
    "stripe": stripe.PROVIDER,
    "unionpay": unionpay.PROVIDER,
    "wechatpay": wechatpay.PROVIDER,
    "woocommerce": woocommerce.PROVIDER,
    "youzan": youzan.PROVIDER,
}


def build(provider: str, account: contract.Account) -> contract.Adapter:
    """Make the adapter of an account. Raises ``ValueError`` whose text says what to configure."""
    check_options(provider, account)
    return PROVIDERS[provider].adapter(account)


def check_options(provider: str, account: contract.Account) -> None:
    """Raise ``ValueError`` for options that are wrong whatever the secrets are, which may lack."""
    found = PROVIDERS.get(provider)
    if found is None:
        known = ", ".join(sorted(PROVIDERS))
        raise ValueError(f"unknown provider {provider!r}; known are {known}")
    fields.options(account, found.options)
