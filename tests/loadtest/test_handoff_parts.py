"""Parts of the benchmark of the hand-off: the receiver, the schedule of payments, the floors."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import msgspec
import pytest
from standardwebhooks import Webhook

from loadtest import orders
from loadtest.handoff import paying, verdict
from loadtest.handoff.intake import Intake
from loadtest.handoff.latency import Latency
from loadtest.handoff.paying import CALLBACKS
from loadtest.handoff.plan import Findings
from loadtest.handoff.receiver import Connection, Delivery, Ledger, Received
from loadtest.handoff.watching import Speed
from ops.simulators import standard_webhooks

POST = b"POST /hand-off HTTP/1.1\r\nHost: a\r\nWebhook-Id: e-%d\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(is_keeping=True)


@pytest.fixture
async def port(ledger: Ledger) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(ledger), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def ask(port: int, *parts: bytes) -> list[bytes]:
    """Send the parts one after the other over one connection; return the answers' bodies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0)
    answers = []
    for _ in range(b"".join(parts).count(b"HTTP/1.1\r\n")):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        answers.append(await reader.readexactly(size))
    writer.close()
    return answers


async def test_the_receiver_counts_and_keeps_what_is_posted(port: int, ledger: Ledger) -> None:
    await ask(port, POST % 1, POST % 2)
    (counted,) = await ask(port, b"GET /received HTTP/1.1\r\n\r\n")
    received = msgspec.json.decode(counted, type=Received)
    assert received.count == 2
    assert 0 < received.first_s <= received.last_s
    (kept,) = await ask(port, b"GET /deliveries HTTP/1.1\r\n\r\n")
    deliveries = msgspec.json.decode(kept, type=list[Delivery])
    assert [(each.id, each.body) for each in deliveries] == [("e-1", "{}"), ("e-2", "{}")]
    await ask(port, b"POST /forget HTTP/1.1\r\n\r\n")
    assert ledger.received.count == 0


@pytest.mark.parametrize("size", [1, 7, 40, 1000])
async def test_the_receiver_takes_requests_however_they_are_cut(
    port: int, ledger: Ledger, size: int
) -> None:
    stream = b"".join(POST % n for n in range(5))
    await ask(port, *(stream[n : n + size] for n in range(0, len(stream), size)))
    assert [id_ for _, id_, _ in ledger.kept] == [b"e-%d" % n for n in range(5)]


def requests(count: int, rate: int) -> Iterator[tuple[bytes, bytes]]:
    secret = standard_webhooks.create().secrets[0]
    for request in paying.schedule(count, rate, "p", token="t", secret=secret):
        head, _, body = request.partition(b"\r\n\r\n")
        if head.startswith(b"POST /v1/callbacks"):
            names = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            headers = {name.decode(): value.decode() for name, value in names.items()}
            Webhook(secret).verify(body, headers)
        assert b"Content-Length: %d" % len(body) in head
        yield head, body


def test_each_payment_has_its_place_after_its_order() -> None:
    count, rate = 6, 4
    made = list(requests(count, rate))
    for n in range(count):
        head, body = made[paying.place(n, rate)]
        order = orders.order(n, prefix="p")
        assert head.startswith(f"POST {CALLBACKS} ".encode())
        data = msgspec.json.decode(body)["data"]
        assert data["order_no"] == order["order_no"]
        assert Decimal(data["amount"]) == Decimal(order["amounts"]["payable"])
        placed = [at for at, (_, sent) in enumerate(made) if order["order_no"].encode() in sent]
        # Half a second: the requests of the orders and of the payments between them.
        assert paying.place(n, rate) - placed[0] == rate + 1
    numbers = [msgspec.json.decode(body).get("order_no") for _, body in made]
    placed_numbers = [number for number in numbers if number]
    assert len(placed_numbers) == len(set(placed_numbers))


SPEED = Speed(
    deliveries=10, deliveries_per_s=2000.0, worker_cpu_us=100.0, postgres_cpu_us=1.0,
    valkey_cpu_us=1.0, others_cores=0.0,
)  # fmt: skip
INTAKE = Intake(
    orders_per_s=1000.0, p99_ms=1.0, not_2xx=0, deliveries_per_s=1.0, worker_cores=0.1,
    others_cores=0.0,
)  # fmt: skip
LATENCY = Latency(
    orders_per_s=200, paid=10, received=10, p50_ms=50.0, p99_ms=250.0, max_ms=300.0,
    sent_late_p99_ms=1.0, replied_p99_ms=1.0,
)  # fmt: skip


def findings(**changes: object) -> Findings:
    values: dict[str, object] = {
        "events": 10, "rounds": 1, "seconds": 1, "connections": 64, "stored_attempts": 0,
        "cores": 2, "python": "3.11",
        "celery": [msgspec.structs.replace(SPEED, worker_cpu_us=1000.0)],
        "tidegate": [SPEED], "latency": LATENCY, "intake_alone": [INTAKE],
        "intake_beside": [msgspec.structs.replace(INTAKE, orders_per_s=900.0)],
    }  # fmt: skip
    return msgspec.convert({**values, **changes}, Findings, from_attributes=True)


def states(found: Findings) -> dict[str, str]:
    return {line.what: line.state for line in verdict.judge(found)}


def test_every_floor_holds_at_its_limit() -> None:
    assert set(states(findings()).values()) == {"pass"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"celery": [SPEED]}, "deliveries per core, b / a"),
        (
            {"tidegate": [msgspec.structs.replace(SPEED, deliveries_per_s=1999.0)]},
            "deliveries/s of b, one worker",
        ),
        (
            {"latency": msgspec.structs.replace(LATENCY, p50_ms=50.1)},
            "p50 in ms from reply to receipt",
        ),
        (
            {"latency": msgspec.structs.replace(LATENCY, p99_ms=250.1)},
            "p99 in ms from reply to receipt",
        ),
        ({"latency": msgspec.structs.replace(LATENCY, received=9)}, "every paid order came"),
        (
            {"intake_beside": [msgspec.structs.replace(INTAKE, orders_per_s=899.0)]},
            "orders/s, beside a worker / alone",
        ),
    ],
)
def test_each_floor_can_be_missed(changes: dict[str, object], what: str) -> None:
    found = states(findings(**changes))
    assert {line for line, state in found.items() if state == "FAIL"} == {what}


def test_what_was_not_measured_is_no_pass() -> None:
    nothing = findings(celery=[], tidegate=[], latency=None, intake_alone=[], intake_beside=[])
    assert set(states(nothing).values()) == {"not measured"}


def test_a_full_log_has_floors_of_its_own() -> None:
    slower = msgspec.structs.replace(SPEED, deliveries_per_s=1700.0)
    full = findings(
        stored_attempts=10, empty_speed=[SPEED], full_speed=[slower], empty_intake=[INTAKE],
        full_intake=[INTAKE], dropped_s=1.0,
    )  # fmt: skip
    assert states(full) == {
        "deliveries/s, full log / empty": "FAIL",
        "orders/s, full log / empty": "pass",
        "seconds until old months are dropped": "pass",
    }
