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

FACTORIES: dict[str, contract.Factory] = {
    "adyen": adyen.adapter,
    "alipay": alipay.adapter,
    "doudian": doudian.adapter,
    "douyin_pay": douyin_pay.adapter,
    "kuaidi100": kuaidi100.adapter,
    "paypal": paypal.adapter,
    "shopify": shopify.adapter,
    "standard_webhooks": standard_webhooks.adapter,
    "stripe": stripe.adapter,
    "unionpay": unionpay.adapter,
    "wechatpay": wechatpay.adapter,
    "woocommerce": woocommerce.adapter,
    "youzan": youzan.adapter,
}


def build(provider: str, account: contract.Account) -> contract.Adapter:
    """Make the adapter of an account. Raises ``ValueError`` whose text says what to configure."""
    factory = FACTORIES.get(provider)
    if factory is None:
        known = ", ".join(sorted(FACTORIES))
        raise ValueError(f"unknown provider {provider!r}; known are {known}")
    return factory(account)
