"""What each provider is answered: status, content type and exact body, over real HTTP.

Success, repeat, rejection and a temporary failure. The provider's page is the rule, and the
simulated provider says which of them it takes for an acknowledgement.
"""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Unavailable
from gateway.runtime import settings as configuration
from gateway.web.handlers import callbacks
from ops.simulators.contract import Posted, Trade
from tests.providers import pieces
from tests.support import simulated
from tests.support.simulated import PROVIDERS
from tests.support.site import Site


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    return simulated.configured(tmp_path)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
async def test_replies(site: Site, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    page = pieces.ROOT / "gateway" / "providers" / f"{name}.md"
    documented = pieces.answers(page.read_text("utf-8"))
    played = PROVIDERS[name]
    simulator = played.simulator(simulated.ACCOUNTS[name])
    kind = next(k for k in ("placed", "paid", "delivered") if k in played.KINDS)
    trade = Trade("R1", "SO-R1", Decimal(199), Decimal(9), played.CURRENCIES[0])
    now = datetime.now(UTC)

    async def reply_to(posted: Posted) -> tuple[tuple[int, str, bytes], Any]:
        path = f"/v1/callbacks/{name}/main"
        async with site.client.post(path, data=posted.body, headers=posted.headers) as answer:
            body = await answer.read()
            reply = answer.status, answer.headers["Content-Type"], body
            return reply, simulator.is_acknowledged(answer.status, reply[1], body)

    for attempt in (0, 1, 1):
        posted = simulator.message(kind, trade, at=now, attempt=attempt)
        assert await reply_to(posted) == (documented["accepted"], True)
    forged = simulator.forged("foreign_key", kind, trade, at=now)
    assert await reply_to(forged) == (documented["rejected"], False)

    async def unavailable(*_: object, **__: object) -> None:
        raise Unavailable("postgres")

    monkeypatch.setattr(callbacks, "accept", unavailable)
    reply = await reply_to(simulator.message(kind, trade, at=now))
    assert reply == (documented["later"], False)
