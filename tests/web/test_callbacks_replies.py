"""What each provider hears: status, content type and exact body, over real HTTP.

Success, repeat, refusal and a temporary failure, as each provider's documentation wants them: the
table is the rule, and the simulated provider says which of them it takes for an acknowledgement.
"""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Unavailable
from gateway.providers.registry import FACTORIES
from gateway.runtime import settings as configuration
from gateway.web.handlers import callbacks
from ops.simulators import registry
from ops.simulators.contract import Posted, Trade
from tests.support.site import Site

MODULES = {name: registry.provider(name) for name in registry.names()}
ACCOUNTS = {name: module.create() for name, module in MODULES.items()}
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"

#: By provider: the content type, and the bodies of 200, 400 (Shopify: 401) and 503.
TABLE: dict[str, tuple[str, str, str, str]] = {
    "adyen": (_TEXT, "[accepted]", "[refused]", "[later]"),
    "alipay": (_TEXT, "success", "fail", "fail"),
    "doudian": (
        _JSON, '{"code":0,"msg":"success"}', '{"code":1,"msg":"fail"}', '{"code":1,"msg":"fail"}',
    ),
    "douyin_pay": (
        _JSON,
        '{"code":"SUCCESS","message":"OK"}',
        '{"code":"FAIL","message":"refused"}',
        '{"code":"FAIL","message":"try again"}',
    ),
    "kuaidi100": (
        _JSON,
        '{"result":true,"returnCode":"200","message":"成功"}',
        '{"result":false,"returnCode":"400","message":"失败"}',
        '{"result":false,"returnCode":"500","message":"失败"}',
    ),
    "paypal": (_JSON, '{"received":true}', '{"received":false}', '{"received":false}'),
    "shopify": (_JSON, '{"received":true}', '{"received":false}', '{"received":false}'),
    "standard_webhooks": (_JSON, '{"received":true}', '{"received":false}', '{"received":false}'),
    "stripe": (_JSON, '{"received":true}', '{"received":false}', '{"received":false}'),
    "unionpay": (_TEXT, "ok", "fail", "fail"),
    "wechatpay": (
        _JSON,
        '{"code":"SUCCESS","message":"OK"}',
        '{"code":"FAIL","message":"refused"}',
        '{"code":"FAIL","message":"try again"}',
    ),
    "woocommerce": (_JSON, '{"received":true}', '{"received":false}', '{"received":false}'),
    "youzan": (
        _JSON,
        '{"code":0,"msg":"success"}',
        '{"code":1,"msg":"failed"}',
        '{"code":1,"msg":"failed"}',
    ),
}  # fmt: skip


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    made = []
    for name, account in ACCOUNTS.items():
        secrets = []
        for n, secret in enumerate(account.secrets):
            (tmp_path / f"{name}.{n}").write_text(secret, "utf-8")
            secrets.append(f"file:{tmp_path / f'{name}.{n}'}")
        made.append(configuration.Account(name, "main", ["web"], secrets, dict(account.options)))
    return made


def test_every_provider_is_in_the_table() -> None:
    assert TABLE.keys() == FACTORIES.keys()


@pytest.mark.parametrize("name", sorted(MODULES))
async def test_replies(site: Site, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    content_type, accepted, refused, later = TABLE[name]
    module = MODULES[name]
    simulator = module.simulator(ACCOUNTS[name])
    kind = next(k for k in ("placed", "paid", "delivered") if k in module.KINDS)
    trade = Trade("R1", "SO-R1", Decimal(199), Decimal(9), module.CURRENCIES[0])
    now = datetime.now(UTC)

    async def say(posted: Posted) -> tuple[tuple[int, str, str], Any]:
        path = f"/v1/callbacks/{name}/main"
        async with site.client.post(path, data=posted.body, headers=posted.headers) as answer:
            body = await answer.read()
            said = answer.status, answer.headers["Content-Type"], body.decode()
            return said, simulator.is_acknowledged(answer.status, said[1], body)

    for attempt in (0, 1, 1):
        posted = simulator.message(kind, trade, at=now, attempt=attempt)
        assert await say(posted) == ((200, content_type, accepted), True)
    refusal = 401 if name == "shopify" else 400
    forged = simulator.forged("foreign_key", kind, trade, at=now)
    assert await say(forged) == ((refusal, content_type, refused), False)

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("postgres")

    monkeypatch.setattr(callbacks, "accept", away)
    said = await say(simulator.message(kind, trade, at=now))
    assert said == ((503, content_type, later), False)
