"""POST /v1/callbacks/…: the replies to a provider, and what the ledger has then."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from gateway.runtime import settings as configuration
from gateway.runtime.settings import Settings
from loadtest.deployment import CHANNELS
from loadtest.payers.contract import Message, Payer, Payment, Posted
from ops.embedded.cluster import PRIMARY, Servers
from tests.support.patience import HANG_S
from tests.support.payers import Payers
from tests.web.support import Answer, Cable, Wire, cable, check, order

PROVIDERS = ("stripe", "standard_webhooks", "alipay")
CLOSE = "UPDATE orders SET status = 'closed', closed_at = now() WHERE id = $1::uuid"
_serial = itertools.count(1)


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[configuration.Account]:
    return payers.settings


@pytest.fixture(params=PROVIDERS)
def payer(request: pytest.FixtureRequest, payers: Payers) -> Payer:
    """An account, seen from the provider's side."""
    return payers.accounts[PROVIDERS.index(request.param)]


def _order(payer: Payer, **changes: Any) -> dict[str, Any]:
    """Make an order of a channel that the account handles."""
    return order(channel=CHANNELS[PROVIDERS.index(payer.provider)], **changes)


def payment_of(of: Mapping[str, Any], amount: str | None = None) -> Payment:
    due = Decimal(amount or of["amounts"]["payable"]).quantize(Decimal("0.01"))
    return Payment(f"{next(_serial):06d}", of["order_no"], due, of["currency"])


async def post(wire: Wire, payer: Payer, message: Message, **headers: str) -> Answer:
    posted = message.sign()
    sent = dict(posted.headers) | headers
    path = f"/v1/callbacks/{payer.provider}/main"
    raw = wire.request("POST", path, posted.body, [*sent.items(), ("Connection", "close")])
    (answer,) = await wire.answers(raw)
    return answer


async def _place(wire: Wire, content: Mapping[str, Any]) -> str:
    answer = await wire.submit(json.dumps(content).encode())
    assert answer.status == 201
    return str(answer.json["id"])


async def _state(ledger: "asyncpg.Pool[asyncpg.Record]", order_no: str) -> dict[str, Any]:
    """Return what the ledger holds about an order number, in every table."""
    record = await ledger.fetchrow(
        """
        SELECT o.status, o.version, o.hold, o.paid::text,
               (SELECT json_agg(json_build_array(p.standing, p.amount::float, p.order_id = o.id))
                  FROM payments p WHERE p.order_no = $1) AS payments,
               (SELECT array_agg(e.action || ':' || e.outcome ORDER BY e.received_at, e.id)
                  FROM order_events e WHERE e.order_id = o.id) AS history,
               (SELECT array_agg(x.topic ORDER BY x.version) FROM outbox x
                 WHERE x.order_id = o.id) AS outbox,
               (SELECT array_agg(k.reason) FROM parked k WHERE k.order_id = o.id) AS parked
          FROM (SELECT $1::text AS order_no) AS n LEFT JOIN orders o USING (order_no)
        """,
        order_no,
    )
    assert record is not None
    return {**record, "payments": json.loads(record["payments"] or "[]")}


async def test_a_payment_moves_its_order_in_one_transaction(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", payer: Payer
) -> None:
    placed = _order(payer)
    id_ = await _place(wire, placed)
    raw_before = await ledger.fetchval("SELECT count(*) FROM raw_messages")
    message = payer.pay(payment_of(placed))
    answer = await post(wire, payer, message)
    assert payer.is_acknowledged(answer.status, answer.body)
    state = await _state(ledger, placed["order_no"])
    due = placed["amounts"]["payable"]
    assert (state["status"], state["version"], state["hold"]) == ("paid", 2, None)
    assert Decimal(state["paid"]) == Decimal(due)
    assert state["payments"] == [["applied", float(due), True]]
    assert state["history"] == ["placed:applied", "payment_succeeded:applied"]
    assert state["outbox"] == ["order.placed", "order.paid"]
    assert await ledger.fetchval("SELECT count(*) FROM raw_messages") == raw_before + 1
    # All rows have the same transaction id.
    marks = await ledger.fetch(
        """
        SELECT xmin::text FROM orders WHERE id = $1::uuid
        UNION SELECT xmin::text FROM payments WHERE order_id = $1::uuid
        UNION SELECT xmin::text FROM order_events
               WHERE order_id = $1::uuid AND action = 'payment_succeeded'
        UNION SELECT xmin::text FROM outbox WHERE order_id = $1::uuid AND topic = 'order.paid'
        UNION (SELECT xmin::text FROM raw_messages ORDER BY received_at DESC, id DESC LIMIT 1)
        """,
        id_,
    )
    assert len(marks) == 1
    shown = (await wire.ask("GET", f"/v1/orders/{id_}")).json
    assert (shown["status"], Decimal(shown["amounts"]["paid"])) == ("paid", Decimal(due))


async def test_repeats_get_the_success_reply_and_have_no_effect(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", valkey: Any, payer: Payer
) -> None:
    placed = _order(payer)
    await _place(wire, placed)
    message = payer.pay(payment_of(placed))
    first = await post(wire, payer, message)
    before = await _state(ledger, placed["order_no"])
    raw = await ledger.fetchval("SELECT count(*) FROM raw_messages")
    again = [await post(wire, payer, message)]
    valkey.flushall()
    again += await asyncio.gather(*[post(wire, payer, message) for _ in range(10)])
    assert {(answer.status, answer.body) for answer in again} == {(first.status, first.body)}
    assert await _state(ledger, placed["order_no"]) == before
    assert await ledger.fetchval("SELECT count(*) FROM raw_messages") == raw


async def test_the_same_callback_at_one_instant_has_one_effect(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", payer: Payer
) -> None:
    placed = _order(payer)
    await _place(wire, placed)
    message = payer.pay(payment_of(placed))
    answers = await asyncio.gather(*[post(wire, payer, message) for _ in range(20)])
    assert all(payer.is_acknowledged(answer.status, answer.body) for answer in answers)
    state = await _state(ledger, placed["order_no"])
    assert (state["status"], state["version"], len(state["payments"])) == ("paid", 2, 1)


async def test_more_than_is_due_is_booked_and_the_surplus_is_parked(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", payer: Payer
) -> None:
    placed = _order(payer)
    await _place(wire, placed)
    too_much = Decimal(placed["amounts"]["payable"]) + Decimal("0.01")
    answer = await post(wire, payer, payer.pay(payment_of(placed, str(too_much))))
    assert payer.is_acknowledged(answer.status, answer.body)
    state = await _state(ledger, placed["order_no"])
    assert (state["status"], state["hold"]) == ("paid", "overpaid")
    assert Decimal(state["paid"]) == too_much
    assert state["parked"] == ["overpaid"]
    assert state["payments"] == [["applied", float(too_much), True]]


async def test_a_payment_waits_for_its_order_and_is_then_applied(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", payer: Payer
) -> None:
    late = _order(payer)
    answer = await post(wire, payer, payer.pay(payment_of(late)))
    assert payer.is_acknowledged(answer.status, answer.body)
    waiting = await _state(ledger, late["order_no"])
    assert waiting["payments"] == [["waiting", float(late["amounts"]["payable"]), None]]
    first = await wire.submit(json.dumps(late).encode())
    assert first.status == 201
    state = await _state(ledger, late["order_no"])
    assert state["status"] == "paid"
    assert state["payments"] == [["applied", float(late["amounts"]["payable"]), True]]
    count = "SELECT count(*) FROM waiting WHERE order_no = $1"
    assert await ledger.fetchval(count, late["order_no"]) == 0
    again = await wire.submit(json.dumps(late).encode())
    assert (again.status, again.body) == (200, first.body)


async def test_a_payment_of_a_closed_order_is_parked(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", payer: Payer
) -> None:
    placed = _order(payer)
    id_ = await _place(wire, placed)
    await ledger.execute(CLOSE, id_)
    answer = await post(wire, payer, payer.pay(payment_of(placed)))
    assert payer.is_acknowledged(answer.status, answer.body)
    state = await _state(ledger, placed["order_no"])
    assert (state["status"], state["hold"]) == ("closed", "refund_owed")
    assert state["parked"] == ["paid_after_close"]


async def test_an_account_handles_no_orders_of_other_channels(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", payer: Payer
) -> None:
    elsewhere = order(channel="tmall")
    await _place(wire, elsewhere)
    answer = await post(wire, payer, payer.pay(payment_of(elsewhere)))
    assert payer.is_acknowledged(answer.status, answer.body)
    state = await _state(ledger, elsewhere["order_no"])
    assert (state["status"], state["payments"][0][0]) == ("pending_payment", "waiting")


async def _rejections(wire: Wire, payer: Payer) -> float:
    text = (await wire.ask("GET", "/metrics")).body.decode()
    label = f'account="main",provider="{payer.provider}"'
    lines = [line for line in text.splitlines() if line.startswith("tidegate_refused_callbacks_t")]
    return sum(float(line.split()[-1]) for line in lines if label in line)


async def test_a_forgery_is_rejected_counted_and_stores_nothing(
    wire: Wire, ledger: "asyncpg.Pool[asyncpg.Record]", payer: Payer
) -> None:
    placed = _order(payer)
    await _place(wire, placed)
    before = await _state(ledger, placed["order_no"])
    counted = await _rejections(wire, payer)
    for how in payer.forgeries:
        answer = await post(wire, payer, payer.forge(payment_of(placed), how))
        assert 400 <= answer.status < 500, how
        assert not payer.is_acknowledged(answer.status, answer.body)
    assert await _state(ledger, placed["order_no"]) == before
    assert await ledger.fetchval(
        "SELECT count(*) FROM waiting WHERE order_no = $1", placed["order_no"]
    ) == 0  # fmt: skip
    assert await _rejections(wire, payer) == counted + len(payer.forgeries)


async def test_malformed_callbacks_are_rejected(wire: Wire, payer: Payer) -> None:
    posted = payer.pay(payment_of(order())).sign()
    bodies = [b"", b"{}", b"null", b"\0", b"\xff" * 100, b"[" * 60_000, b"a=" * 30_000, b"%" * 99]
    for body in bodies:
        for headers in ({}, dict(posted.headers)):
            message = Message(("x",), "", _constant(headers, body))
            answer = await post(wire, payer, message)
            assert answer.status in (400, 401), body[:20]


def _constant(headers: Mapping[str, str], body: bytes) -> Callable[[], Posted]:
    return lambda: Posted(headers, body)


async def test_an_unknown_account_is_not_found(wire: Wire, payer: Payer) -> None:
    posted = payer.pay(payment_of(order())).sign()
    for path in (f"{payer.provider}/other", "paypal/main", f"{payer.provider}/MAIN", "x/%00"):
        answer = await wire.ask("POST", f"/v1/callbacks/{path}", posted.body, posted.headers)
        assert answer.status == 404


async def test_a_callback_has_a_size_limit_and_no_coding(wire: Wire, payer: Payer) -> None:
    path = f"/v1/callbacks/{payer.provider}/main"
    large = await wire.ask("POST", path, b"x" * (64 * 1024 + 1))
    assert large.status == 413
    packed = await wire.ask("POST", path, b"x", {"Content-Encoding": "gzip"})
    assert packed.status == 415
    chunks = b"".join(b"4000\r\n" + b"x" * 0x4000 + b"\r\n" for _ in range(5))
    answer = await wire.ask(
        "POST", path, chunks, {"Transfer-Encoding": "chunked"}, has_length=False
    )
    assert answer.status == 413


async def test_callbacks_need_no_api_key(wire: Wire, payer: Payer) -> None:
    placed = _order(payer)
    await _place(wire, placed)
    wire.token = "tg_nobody"
    answer = await post(wire, payer, payer.pay(payment_of(placed)))
    assert payer.is_acknowledged(answer.status, answer.body)


class TestWithoutPostgres:
    """The connection to Postgres can be cut, or go silent."""

    @pytest.fixture
    async def line(self, servers: Servers) -> AsyncIterator[Cable]:
        async with cable(servers.port(PRIMARY)) as laid:
            yield laid

    @pytest.fixture
    def settings(self, settings: Settings, servers: Servers, line: Cable) -> Settings:
        direct = f":{servers.port(PRIMARY)}/"
        url = settings.database_url.replace(direct, f":{line.port}/")
        assert url != settings.database_url
        # The configured time-outs would make the test slow.
        return msgspec.structs.replace(
            settings,
            database_url=url,
            replica_urls="",
            commit_s=2.5,
            query_s=2.5,
            # Without a journal; with one: test_outage.
            journal_url="",
        )

    @pytest.fixture
    async def ledger(
        self, settings: Settings, servers: Servers, database: str
    ) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
        pool = await asyncpg.create_pool(servers.url_of_database(database), min_size=1, max_size=2)
        yield pool
        pool.terminate()

    @pytest.mark.parametrize("fault", ["cut", "silence"])
    async def test_a_provider_is_asked_to_retry(
        self,
        wire: Wire,
        ledger: "asyncpg.Pool[asyncpg.Record]",
        payer: Payer,
        line: Cable,
        fault: str,
    ) -> None:
        placed = _order(payer)
        await _place(wire, placed)
        message = payer.pay(payment_of(placed))
        getattr(line, fault)()
        answers = await asyncio.gather(*[post(wire, payer, message) for _ in range(5)])
        for answer in answers:
            assert answer.status == 503
            assert not payer.is_acknowledged(answer.status, answer.body)
            assert int(answer.headers["retry-after"]) > 0
        line.mend()
        if fault == "silence":
            line.cut()
            line.mend()
        answer = await self._acknowledged(wire, payer, message)
        state = await _state(ledger, placed["order_no"])
        assert (state["status"], state["version"], len(state["payments"])) == ("paid", 2, 1)

    async def _acknowledged(self, wire: Wire, payer: Payer, message: Message) -> Answer:
        async with asyncio.timeout(HANG_S):
            while True:
                answer = await post(wire, payer, message)
                if payer.is_acknowledged(answer.status, answer.body):
                    return answer
                await asyncio.sleep(0.1)

    @pytest.mark.parametrize("fault", ["cut", "silence"])
    async def test_other_clients_are_too_and_none_waits_long(
        self, wire: Wire, line: Cable, fault: str
    ) -> None:
        placed = await wire.submit(json.dumps(order()).encode())
        getattr(line, fault)()
        path = placed.headers["location"]
        asked = [wire.submit(json.dumps(order()).encode()) for _ in range(5)]
        asked += [wire.ask("GET", f"/v1/orders/{path.rpartition('/')[2]}") for _ in range(3)]
        asked += [wire.ask("GET", "/v1/orders"), wire.ask("GET", f"{path}/events")]
        for answer in await asyncio.gather(*asked):
            assert check(answer).status == 503
            assert int(answer.headers["retry-after"]) > 0
        ready = await wire.answers(
            wire.request("GET", "/readyz", headers=[("Connection", "close")])
        )
        assert ready[0].status == 503
        assert ready[0].json["parts"]["postgres"] != "ok"
        assert (await wire.ask("GET", "/healthz")).status == 200
        line.cut()
        line.mend()
        async with asyncio.timeout(HANG_S):
            while (await wire.submit(json.dumps(order()).encode())).status != 201:
                await asyncio.sleep(0.1)
