"""While Postgres is unavailable: 202 from the journal, the providers' replies, no false answer."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec
import pytest

from gateway.runtime import settings as configuration
from gateway.runtime.settings import Settings
from gateway.wiring import open_gateway
from loadtest.deployment import CHANNELS
from loadtest.payers.contract import Payment
from tests.support.cable import Cable, cable_to
from tests.support.patience import HANG_S
from tests.support.payers import Payers
from tests.support.site import serve
from tests.web.support import Wire, order, order_bytes


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[configuration.Account]:
    return payers.settings


@asynccontextmanager
async def _site(settings: Settings) -> AsyncIterator[tuple[Wire, Cable]]:
    async with cable_to(settings.database_url) as cable:
        changed = msgspec.structs.replace(
            settings, database_url=cable.url, replica_urls="", journal_after_s=0.3
        )
        async with open_gateway(changed) as gateway, serve(gateway) as site:
            wire = Wire(site.host, site.port, site.token)
            # The key is cached from here on.
            assert (await wire.submit(order_bytes())).status == 201
            yield wire, cable
            cable.mend()


@pytest.fixture
async def outage(settings: Settings) -> AsyncIterator[Wire]:
    async with _site(settings) as (wire, cable):
        cable.cut()
        yield wire


async def test_an_order_is_answered_202_with_an_id_that_its_repeats_get_too(
    outage: Wire,
) -> None:
    body = order_bytes()
    first = await outage.submit(body)
    again = await outage.submit(body)
    assert (first.status, again.status) == (202, 202)
    assert first.headers["location"] == f"/v1/orders/{json.loads(first.body)['id']}"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.body == first.body
    assert uuid.UUID(json.loads(first.body)["id"]).version == 7


async def test_an_order_in_the_journal_is_not_reported_as_unknown(
    settings: Settings,
) -> None:
    """PostgreSQL is back and does not have it yet."""
    async with _site(settings) as (wire, cable):
        cable.cut()
        id_ = json.loads((await wire.submit(order_bytes())).body)["id"]
        cable.mend()
        async with asyncio.timeout(HANG_S):
            while (await wire.submit(order_bytes())).status != 201:
                await asyncio.sleep(0.1)
        for path in (f"/v1/orders/{id_}", f"/v1/orders/{id_}/events"):
            answer = await wire.ask("GET", path)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        # Made long before anything that waits.
        assert (await wire.ask("GET", f"/v1/orders/{uuid.UUID(int=0)}")).status == 404


async def test_another_order_under_the_same_number_is_409(outage: Wire) -> None:
    sent = order()
    assert (await outage.submit(json.dumps(sent).encode())).status == 202
    other = await outage.submit(json.dumps({**sent, "remark": "changed"}).encode())
    assert other.status == 409
    assert json.loads(other.body)["context"]["existing"]["order_no"] == sent["order_no"]


async def test_an_invalid_order_is_rejected_as_before(outage: Wire) -> None:
    assert (await outage.submit(order_bytes(currency="nonsense"))).status == 422


@pytest.mark.parametrize("n", range(3))
async def test_a_callback_gets_its_providers_success(outage: Wire, payers: Payers, n: int) -> None:
    payer = payers.accounts[n]
    sent = order(channel=CHANNELS[n])
    amount = Decimal(sent["amounts"]["payable"]).quantize(Decimal("0.01"))
    payment = Payment(uuid.uuid4().hex, sent["order_no"], amount, sent["currency"])
    for _ in range(2):
        posted = payer.pay(payment).sign()
        raw = outage.request(
            "POST",
            f"/v1/callbacks/{payer.provider}/main",
            posted.body,
            [*dict(posted.headers).items(), ("Connection", "close")],
        )
        (answer,) = await outage.answers(raw)
        assert payer.is_acknowledged(answer.status, answer.body)


async def test_the_gateway_is_ready_and_names_the_unavailable_part(outage: Wire) -> None:
    ready = await outage.ask("GET", "/readyz")
    parts = json.loads(ready.body)["parts"]
    assert ready.status == 200
    assert parts["postgres"] != "ok"
    assert parts["journal"] == "ok"


async def test_without_a_usable_journal_it_is_503_and_not_ready(settings: Settings) -> None:
    unfit = msgspec.structs.replace(settings, journal_url=settings.redis_url)
    async with _site(unfit) as (wire, cable):
        cable.cut()
        rejected = await wire.submit(order_bytes())
        assert rejected.status == 503
        assert int(rejected.headers["retry-after"]) >= 1
        closing = [("Connection", "close")]
        (ready,) = await wire.answers(wire.request("GET", "/readyz", headers=closing))
        assert ready.status == 503
        assert "appendfsync" in json.loads(ready.body)["parts"]["journal"]


async def test_what_takes_two_people_waits_for_postgres(outage: Wire) -> None:
    """Nothing of it is journaled, where nobody could see it."""
    id_ = (await outage.submit(order_bytes())).json["id"]
    body = json.dumps({"reason": "they moved", "street": "New Road 2"}).encode()
    asked = await outage.ask("PATCH", f"/v1/orders/{id_}/address", body)
    listed = await outage.ask("GET", "/v1/approvals")
    assert (asked.status, listed.status) == (503, 503)
