"""A key for tests places and touches test orders only; a live key does not meet them unasked."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.runtime import settings as configuration
from gateway.runtime.settings import SettingsError
from gateway.web import accounts as provider_accounts
from ops.simulators.contract import Trade
from tests.support import simulated
from tests.support.simulated import ACCOUNTS, PROVIDERS
from tests.support.site import Site
from tests.web.support import Answer, Wire, order

#: A provider that says itself whether money moved, and one whose account is said to be a test's.
_PAYERS = {"stripe": {"livemode": False}, "alipay": {}}


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    """Two accounts of each payer: ``live`` and ``test``."""
    made = []
    for live in simulated.configured(tmp_path):
        if live.provider not in _PAYERS:
            continue
        options = {**live.options, **_PAYERS[live.provider]}
        is_test = None if _PAYERS[live.provider] else True
        made += [
            configuration.Account(
                live.provider, "live", live.channels, live.secrets, dict(live.options)
            ),
            configuration.Account(
                live.provider, "test", live.channels, live.secrets, options, is_test
            ),
        ]
    return made


@pytest.fixture
async def sandbox(site: Site, wire: Wire) -> Wire:
    """The wire of a key for tests, with every role that such a key may have."""
    token = await site.token_for("ingest", "query_pii", is_test=True)
    assert token.startswith("tg_test_")
    # The look-up caches it, so that submissions take the fast path.
    made = Wire(wire.host, wire.port, token)
    assert (await made.submit(b"{}")).status == 422
    return made


async def _placed(wire: Wire, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    answer = await wire.submit(json.dumps(body).encode(), headers)
    assert answer.status == 201, answer
    placed: dict[str, Any] = answer.json
    return placed


async def _listed(wire: Wire, order_no: str, query: str = "") -> list[bool]:
    """Return ``is_test`` of the listed orders of a number."""
    answer = await wire.ask("GET", f"/v1/orders?order_no={order_no}{query}")
    assert answer.status == 200, answer
    return [each["is_test"] for each in answer.json["orders"]]


@pytest.mark.parametrize("said", [None, True, False])
@pytest.mark.parametrize("path", ["fast", "regular"])
async def test_a_key_for_tests_places_test_orders_whatever_the_body_says(
    sandbox: Wire, said: bool | None, path: str
) -> None:
    body = order() if said is None else order(is_test=said)
    sandbox.always = (("TE", "trailers"),) if path == "regular" else ()
    placed = await _placed(sandbox, body)
    shown = await sandbox.ask("GET", f"/v1/orders/{placed['id']}")
    assert shown.json["is_test"] is True
    # A repeat is one, also when it says it otherwise.
    again = await sandbox.submit(json.dumps(body | {"is_test": True}).encode())
    assert (again.status, again.json["id"]) == (200, placed["id"])


async def test_a_test_order_and_a_live_one_may_have_one_number_and_one_key(
    wire: Wire, sandbox: Wire
) -> None:
    body = order()
    key = {"Idempotency-Key": f"key-{body['order_no']}"}
    test, live = await _placed(sandbox, body, **key), await _placed(wire, body, **key)
    assert test["id"] != live["id"]
    # They look alike to the last letter, and are neither held nor replayed.
    assert (test["hold"], live["hold"]) == (None, None)
    changed = json.dumps(body | {"remark": "other"}).encode()
    for each, placed in ((sandbox, test), (wire, live)):
        assert (await each.submit(json.dumps(body).encode(), key)).json["id"] == placed["id"]
        conflict = await each.submit(changed)
        assert (conflict.status, conflict.json["context"]["existing"]["id"]) == (409, placed["id"])


async def test_test_orders_hold_no_live_order_for_brushing(wire: Wire, sandbox: Wire) -> None:
    first = order()

    def again() -> dict[str, Any]:
        return order() | {name: first[name] for name in ("buyer_id", "items", "amounts")}

    for n in range(4):
        held = (await _placed(sandbox, again(), **{"Idempotency-Key": f"b-{n}"}))["hold"]
    assert held is not None
    assert (await _placed(wire, again()))["hold"] is None


async def test_a_key_for_tests_sees_and_changes_no_live_order(wire: Wire, sandbox: Wire) -> None:
    live, test = await _placed(wire, order()), await _placed(sandbox, order())

    async def asked(id_: str) -> list[int]:
        answers = [
            await sandbox.ask("GET", f"/v1/orders/{id_}"),
            await sandbox.ask("GET", f"/v1/orders/{id_}/events"),
            await sandbox.ask("PATCH", f"/v1/orders/{id_}/remark", b'{"remark":"x"}'),
        ]
        return [answer.status for answer in answers]

    assert await asked(live["id"]) == [404, 404, 404]
    assert await asked(test["id"]) == [200, 200, 200]
    assert (await wire.ask("GET", f"/v1/orders/{live['id']}")).json["remark"] != "x"


async def test_lists_and_exports_do_not_mix_unasked(wire: Wire, sandbox: Wire) -> None:
    body = order()
    await _placed(wire, body)
    await _placed(sandbox, body)
    number = body["order_no"]
    assert await _listed(wire, number) == [False]
    assert await _listed(wire, number, "&is_test=false") == [False]
    assert await _listed(wire, number, "&is_test=true") == [True]
    assert sorted(await _listed(wire, number, "&is_test=any")) == [False, True]
    for query in ("", "&is_test=true", "&is_test=any"):
        assert await _listed(sandbox, number, query) == [True]
    for each, query, count in ((wire, "", 1), (wire, "&is_test=any", 2), (sandbox, "", 1)):
        answer = await each.ask("GET", f"/v1/orders/export?order_no={number}{query}")
        # The head is a line too.
        assert answer.body.count(b"\r\n") == 1 + count


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/export"])
async def test_a_wrong_filter_is_named(wire: Wire, sandbox: Wire, path: str) -> None:
    wrong = [await wire.ask("GET", f"{path}?is_test=1"), await wire.ask("GET", f"{path}?is_test=")]
    wrong.append(await sandbox.ask("GET", f"{path}?is_test=false"))
    for answer in wrong:
        assert (answer.status, answer.fields) == (422, ["is_test"])


async def test_a_key_for_tests_does_not_see_live_counters(sandbox: Wire) -> None:
    answer = await sandbox.ask("GET", "/v1/stream")
    assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden")


async def _pay(site: Site, provider: str, account: str, body: dict[str, Any], no: str) -> None:
    """Have an account report the payment of an order."""
    options = {**ACCOUNTS[provider].options}
    if account == "test":
        options |= _PAYERS[provider]
    played = PROVIDERS[provider]
    simulator = played.simulator(
        type(ACCOUNTS[provider])(ACCOUNTS[provider].secrets, options, ACCOUNTS[provider].private)
    )
    trade = Trade(no, body["order_no"], Decimal(body["amounts"]["payable"]), Decimal(0), "CNY")
    posted = simulator.message("paid", trade, at=datetime.now(UTC))
    path = f"/v1/callbacks/{provider}/{account}"
    async with site.client.post(path, data=posted.body, headers=posted.headers) as answer:
        assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("provider", sorted(_PAYERS))
@pytest.mark.parametrize("paid_first", [False, True])
async def test_money_pays_orders_of_its_own_kind(
    site: Site, wire: Wire, sandbox: Wire, provider: str, paid_first: bool
) -> None:
    body = order()
    keys = {"live": wire, "test": sandbox}

    async def status(kind: str, id_: str) -> str:
        answer: Answer = await keys[kind].ask("GET", f"/v1/orders/{id_}")
        found: str = answer.json["status"]
        return found

    other = {"live": "test", "test": "live"}
    for kind in ("test", "live"):
        serial = f"{body['order_no']}{kind}".replace("-", "")
        if paid_first:
            await _pay(site, provider, kind, body, serial)
        placed = await _placed(keys[kind], body)
        if not paid_first:
            await _pay(site, provider, kind, body, serial)

        async def is_paid(kind: str = kind, id_: str = placed["id"]) -> bool:
            return await status(kind, id_) == "paid"

        assert await is_paid()
    # One of a number alone: money of the other kind waits, and does not touch it.
    for kind in ("test", "live"):
        alone = order()
        placed = await _placed(keys[kind], alone)
        serial = f"{alone['order_no']}x".replace("-", "")
        await _pay(site, provider, other[kind], alone, serial)
        assert await status(kind, placed["id"]) == "pending_payment"


async def test_an_early_payment_waits_for_its_own_kind(
    site: Site, wire: Wire, sandbox: Wire, ledger: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    body = order()
    await _pay(site, "alipay", "live", body, body["order_no"].replace("-", ""))
    waiting = "SELECT is_test FROM waiting WHERE order_no = $1"
    assert await ledger.fetchval(waiting, body["order_no"]) is False
    test = await _placed(sandbox, body)
    assert (await sandbox.ask("GET", f"/v1/orders/{test['id']}")).json["status"] != "paid"
    live = await _placed(wire, body)
    assert (await wire.ask("GET", f"/v1/orders/{live['id']}")).json["status"] == "paid"
    assert await ledger.fetchval(waiting, body["order_no"]) is None


def test_an_account_cannot_be_live_and_for_tests(tmp_path: Path) -> None:
    (live,) = [each for each in simulated.configured(tmp_path) if each.provider == "stripe"]
    wrong = configuration.Account(
        live.provider, "x", live.channels, live.secrets, dict(live.options), is_test=True
    )
    loaded = configuration.Settings(database_url="postgresql://x/x", accounts=[wrong])
    with pytest.raises(SettingsError, match="is_test contradicts the options"):
        provider_accounts.build(loaded, before={})
