"""Which provider is checked against whose client; a new provider must say so here.

The clients of the second environment are named by what they are called on PyPI, as the others are.
"""

import re
from pathlib import Path

import pytest

from gateway.providers.registry import FACTORIES

_HERE = Path(__file__).parent
_PAGES = _HERE.parents[1] / "gateway" / "providers"

#: By provider: the independent clients that sign what is verified here, or verify what is
#: simulated. None: no client of it is on PyPI, and the documented algorithm is all there is.
CHECKED_AGAINST: dict[str, tuple[str, ...]] = {
    "adyen": ("Adyen",),
    "alipay": ("alipay-sdk-python", "python-alipay-sdk"),
    "doudian": ("doudian",),
    "douyin_pay": ("bytedance-douyinpay", "douyinpay"),
    "kuaidi100": (),
    "paypal": ("paypalrestsdk",),
    "shopify": (),
    "standard_webhooks": ("standardwebhooks", "svix"),
    "stripe": ("stripe",),
    "unionpay": (),
    "wechatpay": ("wechatpayv3",),
    "woocommerce": (),
    "youzan": (),
}


def test_every_provider_says_whom_it_was_checked_against() -> None:
    assert CHECKED_AGAINST.keys() == FACTORIES.keys()


@pytest.mark.parametrize("name", sorted(CHECKED_AGAINST))
def test_the_clients_are_installed_used_and_named(name: str) -> None:
    """Pinned in one of the environments, used by the provider's test, named on its page."""
    pinned = (_HERE.parent / "requirements.lock").read_text("utf-8").lower()
    pinned += (_HERE / "requirements.lock").read_text("utf-8").lower()
    page = (_PAGES / f"{name}.md").read_text("utf-8")
    for client in CHECKED_AGAINST[name]:
        assert f"{client.lower()}==" in pinned
        assert client in page
    if CHECKED_AGAINST[name]:
        assert (_HERE / f"test_{name}.py").exists()
    else:
        assert re.search("[Nn]o (independent )?client", page)
