"""A canary sent through every route is found in clear nowhere: log, metric, error, table, Redis.

The canary is what is private of an order: phone, name, street, postcode, id number, remark, an
attribute. Order number, buyer id and request id are identifiers and may hold what is sent there.
"""

import asyncio
import base64
import gzip
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import msgspec
import pytest
import redis
import standardwebhooks

from gateway.runtime.settings import Account, Settings
from loadtest.orders import order
from loadtest.payers.simulated import SimulatedPayer
from ops.embedded.cluster import Servers
from ops.harness.ports import free_port
from ops.simulators.shared import sorted_forms
from tests.support.payers import Payers
from tests.support.processes import Processes
from tests.web.support import Answer, Wire

PHONE = "13987650123"
CANARY = {
    "phone": PHONE,
    "name": "Kanarienvogel",
    "street": "Zwitscherweg 4711",
    "postcode": "987123",
    "id_number": "11010519491231002X",
    "remark": "pfeift leise im Korb",
    "attribute": "gelbes Gefieder",
}
#: What is never printed by accident: the telephone as it is stored, and no part of a number.
SECRETS = (*CANARY.values(), "金丝雀", "+86" + PHONE)
#: Stands in a buyer id, so that a search that finds nothing is known to search.
CONTROL = "control-4f1d"

_RECIPIENT = {
    "name": f"{CANARY['name']} 金丝雀",
    "phone": PHONE,
    "country": "CN",
    "province": "Zhejiang",
    "city": "Hangzhou",
    "district": "Xihu",
    "street": CANARY["street"],
    "postcode": CANARY["postcode"],
    "id_number": CANARY["id_number"],
}


def _sung(n: int, **changes: Any) -> dict[str, Any]:
    """Make order ``n`` with the canary in every private field."""
    changes = {
        "recipient": _RECIPIENT,
        "remark": CANARY["remark"],
        "attributes": {"note": CANARY["attribute"], CANARY["attribute"]: 1},
    } | changes
    return order(n, prefix="canary", **changes)


@pytest.fixture(scope="module")
def payers(tmp_path_factory: pytest.TempPathFactory) -> Payers:
    return Payers(tmp_path_factory.mktemp("secrets"))


@pytest.fixture
def accounts(payers: Payers) -> list[Account]:
    return payers.settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, log_level="debug")


@pytest.fixture
def port(processes: Processes) -> int:
    chosen = free_port()
    processes.serve(port=chosen)
    return chosen


async def _submissions(wire: Wire) -> list[Answer]:
    """Send the canary to POST /v1/orders in every way that ends differently."""

    async def send(content: Any, *headers: tuple[str, str], **how: Any) -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await wire.submit(body, [("User-Agent", CANARY["name"]), *headers], **how)

    key = ("Idempotency-Key", "canary-1")
    first = _sung(1, buyer_id=CONTROL)
    bad_phone = {"recipient": _RECIPIENT | {"phone": f"{PHONE}99"}}
    odd_phone = {"recipient": _RECIPIENT | {"phone": [PHONE]}}
    control = {"recipient": _RECIPIENT | {"name": f"{CANARY['name']}\0"}}
    unknown = {"recipient": _RECIPIENT | {"nick": CANARY["name"]}}
    answers = [
        await send(first, key),
        await send(first, key),
        await send(first | {"remark": f"{CANARY['remark']}!"}),
        await send(_sung(2), key),
        await send(_sung(3, **bad_phone)),
        await send(_sung(3, **odd_phone)),
        await send(_sung(3, **control)),
        await send(_sung(3, **unknown)),
        await send(_sung(3, remark=[CANARY["remark"]])),
        await send(_sung(3, currency=CANARY["name"])),
        await send(_sung(3, channel=CANARY["name"])),
        await send(_sung(3, placed_at=CANARY["street"])),
        await send(_sung(3, is_test=CANARY["street"])),
        await send(_sung(3) | {"items": CANARY["street"]}),
        await send(_sung(3, attributes={"a": CANARY["attribute"] * 999})),
        await send(json.dumps(CANARY["name"]).encode()),
        await send(json.dumps(_sung(3)).encode()[:-2]),
        await send(json.dumps(_sung(3), ensure_ascii=False).encode("gbk")),
        await send(json.dumps(_sung(3)).encode().ljust(300_000)),
        await send(_sung(3), ("Content-Type", CANARY["name"])),
        await send(_sung(3), ("Content-Encoding", CANARY["name"])),
        await send(_sung(3), ("Content-Encoding", "gzip")),
        await send(_sung(3), ("Idempotency-Key", CANARY["name"] * 99)),
        await send(_sung(3), ("Authorization", f"Bearer tg_{PHONE}"), has_key=False),
        await send(_sung(3), has_key=False),
        await send(gzip.compress(json.dumps(_sung(4)).encode()), ("Content-Encoding", "gzip")),
        # The same goods for the same buyer: held as a look-alike.
        await send(_sung(5, buyer_id="twin"), ("Idempotency-Key", "canary-5")),
        await send(_sung(5, buyer_id="twin", order_no="twin"), ("Idempotency-Key", "canary-6")),
        await send(_sung(6, buyer_id="poison")),
    ]
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {200, 201, 400, 401, 409, 413, 415, 422}, statuses
    return answers


async def _edits(wire: Wire, path: str) -> list[Answer]:
    """Send the canary to an order's remark in every way that ends differently."""
    sung = json.dumps({"remark": f"{CANARY['remark']} {PHONE} {CANARY['name']} 金丝雀"}).encode()
    answers = [
        await wire.ask("PATCH", f"{where}/remark", body, [("User-Agent", PHONE), *headers])
        for where, body, headers in (
            (path, sung, []),
            (path, sung, [("If-Match", '"1"')]),
            (path, sung.replace(b'"}', b'!"}'), [("If-Match", '"1"')]),
            (path, sung, [("If-Match", PHONE)]),
            (path, sung.replace(b'"}', b'\\u0000!"}'), []),
            (path, sung[:-2], []),
            (path, sung.replace(b"}", b',"nick":"%b"}' % PHONE.encode()), []),
            (path, json.dumps({"remark": [CANARY["remark"]]}).encode(), []),
            (path, json.dumps({"remark": CANARY["remark"] * 99}).encode(), []),
            (path, sung.ljust(20_000), []),
            (path, sung, [("Content-Type", CANARY["name"])]),
            (f"/v1/orders/{quote(CANARY['name'])}", sung, []),
        )
    ]
    statuses = [answer.status for answer in answers]
    assert statuses == [200, 200, 412, 400, 200, 400, 422, 422, 422, 413, 415, 404]
    return answers


async def _questions(wire: Wire) -> list[Answer]:
    """Put the canary into paths, queries and headers."""
    placed = (await wire.ask("GET", f"/v1/orders?phone={PHONE}")).json["orders"]
    assert placed
    cursor = base64.urlsafe_b64encode(PHONE.encode()).decode()
    answers = []
    for value in map(quote, SECRETS):
        for name in ("phone", "status", "limit", "cursor", "placed_from", "order_no", "channel"):
            answers.append(await wire.ask("GET", f"/v1/orders?{name}={value}&limit=0"))
        for path in (
            f"/v1/orders/{value}",
            f"/v1/orders/{value}/events",
            f"/v1/callbacks/{value}/{value}",
            f"/{value}",
        ):
            for method in ("GET", "POST", "DELETE"):
                answers.append(await wire.ask(method, path, b""))
    for name in ("X-Forwarded-For", "User-Agent", "Referer", "Cookie", "Expect", "Accept"):
        answers.append(await wire.ask("GET", f"/v1/orders/{placed[0]['id']}", None, {name: PHONE}))
    answers.append(await wire.ask("GET", f"/v1/orders?cursor={cursor}"))
    answers.append(await wire.ask("GET", "/v1/orders", None, {"Authorization": PHONE}))
    broken = f"GET /{PHONE} HTTP/1.1\r\nHost: x\r\n{CANARY['name']}\r\n\r\n".encode()
    answers += await wire.answers(broken)
    return answers


def _callbacks(payers: Payers) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """Make callbacks that carry the canary: taken, waiting, mismatched, odd and forged."""
    stripe, webhooks, alipay = payers.accounts
    stripe_key = stripe.secrets[0].encode()
    assert isinstance(alipay, SimulatedPayer)
    alipay_key = sorted_forms.private_key(alipay.account.private, "key", whose="Alipay")
    extra = {**_RECIPIENT, "note": CANARY["remark"]}
    for n, (order_no, amount) in enumerate(
        (("canary-00000001", "1.00"), ("nowhere", "5.00"), ("canary-00000004", "237.00"))
    ):
        intent = {
            "id": f"pi_{n}", "object": "payment_intent", "currency": "cny",
            "amount_received": int(float(amount) * 100), "shipping": extra,
            "metadata": {"order_no": order_no, "phone": PHONE}, "description": CANARY["remark"],
        }  # fmt: skip
        event = {
            "id": f"evt_{n}", "object": "event", "type": "payment_intent.succeeded",
            "created": int(time.time()), "livemode": True, "data": {"object": intent},
        }  # fmt: skip
        for kind in ("payment_intent.succeeded", "customer.created"):
            body = json.dumps(event | {"type": kind, "id": f"evt_{n}_{kind}"}).encode()
            stamp = int(time.time())
            mac = hmac.new(stripe_key, b"%d.%b" % (stamp, body), "sha256").hexdigest()
            yield "stripe", {"Stripe-Signature": f"t={stamp},v1={mac}"}, body
            yield "stripe", {"Stripe-Signature": f"t={stamp},v1={mac}{PHONE}"}, body
            yield "stripe", {"Stripe-Signature": CANARY["name"]}, body + PHONE.encode()

        data = {
            "order_no": order_no, "transaction_id": f"tx_{n}", "amount": amount, "currency": "CNY",
            **extra,
        }  # fmt: skip
        for kind, fields in (
            ("payment.succeeded", data),
            ("customer.changed", data),
            ("payment.succeeded", data | {"amount": PHONE, "currency": CANARY["name"]}),
            ("payment.succeeded", data | {"transaction_id": CANARY["street"]}),
        ):
            message = {"type": kind, "timestamp": "2026-11-23T10:00:00Z", "data": fields}
            text, key = json.dumps(message), f"msg_{n}_{kind}"
            headers = _signed_webhook(webhooks.secrets[0], key, text)
            yield "standard_webhooks", headers, text.encode()
            yield "standard_webhooks", headers | {"webhook-id": PHONE}, text.encode()
            yield "standard_webhooks", headers, text.encode() + PHONE.encode()

        notice = {
            "app_id": str(alipay.options["app_id"]), "charset": "utf-8",
            "seller_id": str(alipay.options["seller_id"]),
            "gmt_payment": "2026-11-23 12:00:00", "notify_time": "2026-11-23 12:00:01",
            "notify_id": f"nf_{n}", "notify_type": "trade_status_sync", "out_trade_no": order_no,
            "total_amount": amount, "trade_no": f"tr_{n}", "trade_status": "TRADE_SUCCESS",
            "buyer_logon_id": PHONE, "subject": CANARY["remark"], "body": CANARY["name"],
            "passback_params": CANARY["attribute"],
        }  # fmt: skip
        for changes in (
            {},
            {"trade_status": "WAIT_BUYER_PAY", "notify_id": f"nf_{n}_wait"},
            {"total_amount": f"{PHONE}00", "notify_id": f"nf_{n}_odd"},
            {"gmt_payment": CANARY["street"], "notify_id": f"nf_{n}_when"},
            {"app_id": CANARY["name"], "notify_id": f"nf_{n}_whose"},
        ):
            reported = notice | changes
            signature = sorted_forms.signature(alipay_key, sorted_forms.text(reported))
            signed = reported | {"sign_type": "RSA2", "sign": signature}
            body = sorted_forms.posted(signed).body
            yield "alipay", {}, body
            yield "alipay", {}, body.replace(PHONE.encode(), b"1" + PHONE.encode())


def _signed_webhook(secret: str, key: str, text: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(secret).sign(key, now, text),
    }


def _hits(text: str | bytes, secrets: Sequence[str] = SECRETS) -> list[str]:
    """Return the secrets that stand in a text: plain, as hexadecimal, or escaped for JSON."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = text.lower()
    return [
        secret
        for secret in secrets
        if secret.lower() in text
        or secret.encode().hex() in text
        or json.dumps(secret)[1:-1].lower() in text
        or quote(secret).lower() in text
    ]


async def _tables(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    """Return every row of every table as one text each; bytes read as hexadecimal."""
    names = await connection.fetch(
        """
        SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS name
          FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('r', 'm', 't') AND nspname NOT IN ('pg_catalog', 'information_schema')
           AND (relkind <> 't' OR relname LIKE 'pg\\_toast\\_%')
        """
    )
    return {
        name: "\n".join([row[0] for row in await connection.fetch(f"SELECT t::text FROM {name} t")])
        for (name,) in names
        if "pg_toast" not in name
    }


def _kept(client: "redis.Redis") -> str:
    """Return every key and value of the Valkey as text."""
    exposed = []
    for key in client.scan_iter(count=1000):
        exposed.append(repr(key))
        kind = client.type(key)
        values: list[object]
        if kind == b"hash":
            values = [part for pair in client.hgetall(key).items() for part in pair]
        elif kind == b"zset":
            values = list(client.zrange(key, 0, -1))
        else:
            assert kind == b"string", f"this test cannot read a {kind!r} yet"
            values = [client.get(key)]
        for value in values:
            assert isinstance(value, bytes)
            exposed.append(value.decode("utf-8", "backslashreplace"))
    return "\n".join(exposed)


async def test_a_canary_is_found_nowhere(
    processes: Processes,
    port: int,
    payers: Payers,
    servers: Servers,
    superuser_url: str,
    valkey: "redis.Redis",
) -> None:
    admin = await asyncpg.connect(superuser_url)
    await admin.execute("ALTER TABLE orders ADD CHECK (buyer_id <> 'poison')")
    token = await processes.make_token("ingest", "query")
    wire = Wire("127.0.0.1", port, token)

    answers = await _submissions(wire)
    exposed = await _edits(wire, answers[0].headers["location"])
    exposed.append(await wire.ask("GET", answers[0].headers["location"]))
    for provider, headers, body in _callbacks(payers):
        asked = wire.request(
            "POST",
            f"/v1/callbacks/{provider}/main",
            body,
            [*headers.items(), ("Connection", "close")],
        )
        exposed += await wire.answers(asked)
    taken = [answer.status for answer in exposed].count(200)
    assert taken > 10
    assert [answer.status for answer in exposed].count(400) > 10
    exposed += await _questions(wire)
    metrics = await wire.ask("GET", "/metrics")

    # A schema that is not ours: its line in the log names the kind of error, not what was in hand.
    await admin.execute("ALTER TABLE orders RENAME TO elsewhere")
    broken = json.dumps(_sung(9)).encode()
    failed = await wire.answers(
        wire.request("POST", "/v1/orders", broken, [("Connection", "close")])
    )
    failed += await wire.answers(
        wire.request("GET", f"/v1/orders?phone={PHONE}", headers=[("Connection", "close")])
    )
    await admin.execute("ALTER TABLE elsewhere RENAME TO orders")
    assert [answer.status for answer in failed] == [202, 503]

    found: dict[str, list[str]] = {}
    everything = [*answers, *exposed, *failed]
    found["answers"] = _hits(b"\n".join(answer.body for answer in everything))
    found["heads"] = _hits("\n".join(str(answer.headers) for answer in everything))
    found["metrics"] = _hits(metrics.body)
    found["log"] = _hits(processes.log_path.read_bytes(), [*SECRETS, token])
    tables = await _tables(admin)
    for name, rows in tables.items():
        found[name] = _hits(rows, [*SECRETS, token])
    found["valkey"] = _hits(_kept(valkey), [*SECRETS, token])
    for log in _server_logs(servers):
        found[log.name] = _hits(log.read_bytes(), [*SECRETS, token])
    assert {place: hits for place, hits in found.items() if hits} == {}
    await admin.close()

    # The search finds what may be found, in every kind of place.
    assert _hits(tables["public.orders"], [CONTROL]) == [CONTROL]
    assert _hits(_kept(valkey), ["canary-00000001"]) == ["canary-00000001"]
    assert "postgres rejects a statement" in processes.log_path.read_text()
    assert "parked an unstorable entry" in processes.log_path.read_text()
    assert {name for name, rows in tables.items() if rows} >= {
        "public.orders", "public.order_events", "public.payments", "public.parked",
        "public.waiting", "public.outbox", "public.fingerprints", "public.velocity",
    }  # fmt: skip
    assert any(rows for name, rows in tables.items() if name.startswith("public.raw_messages"))


def _server_logs(servers: Servers) -> list[Path]:
    found = [path for path in servers.state.logs.rglob("*") if path.is_file()]
    assert found
    return found


def test_the_search_finds_a_canary_however_it_is_written() -> None:
    assert _hits("x 13987650123 y", [PHONE]) == [PHONE]
    assert _hits(f"(1,\\x00{PHONE.encode().hex()}00)", [PHONE]) == [PHONE]
    assert _hits(json.dumps({"name": "金丝雀"}), ["金丝雀"]) == ["金丝雀"]
    assert _hits("/v1/orders/%E9%87%91%E4%B8%9D%E9%9B%80", ["金丝雀"]) == ["金丝雀"]
    assert _hits("KANARIENVOGEL", ["Kanarienvogel"]) == ["Kanarienvogel"]
    assert _hits(b"1398765012", [PHONE]) == []


async def test_a_stopped_gateway_says_no_more_than_a_running_one(processes: Processes) -> None:
    port = free_port()
    process = processes.serve(port=port)
    wire = Wire("127.0.0.1", port, await processes.make_token("ingest"))
    sending = [wire.submit(json.dumps(_sung(100 + n)).encode()) for n in range(20)]
    asked = asyncio.gather(*sending, return_exceptions=True)
    await asyncio.sleep(0.02)
    process.terminate()
    await asked
    await asyncio.to_thread(process.wait, 15)
    assert _hits(processes.log_path.read_bytes()) == []
