"""Orders and, half a second later, their payments, on schedule: when each reply was there.

    python -m loadtest.handoff.paying --port 8080 --rate 200 --seconds 10 --prefix p1

Prints the moment of the reply to each payment's callback, by order number, on the monotonic clock.
A process of its own, so that no other work delays the schedule.
"""

import gc
import sys
from datetime import UTC, datetime
from decimal import Decimal

import click
import msgspec
import orjson

from loadtest import orders
from loadtest.bench.open_loop_generator import Latencies, Run
from ops.simulators import standard_webhooks
from ops.simulators.contract import Account, Simulator, Trade

#: An order is paid so many seconds after it was placed.
_PAID_AFTER_S = 0.5
CALLBACKS = "/v1/callbacks/standard_webhooks/payer"


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """The replies to callbacks, and how all requests fared."""

    replied_s: dict[str, float]
    sent: Latencies


def schedule(count: int, rate: int, prefix: str, *, token: str, secret: str) -> list[bytes]:
    """Return the requests in turn: an order, the payment of an earlier one, an order, ...

    Before the first payment is due, and after the last order, other orders fill the gaps. Each
    payment stands at an odd place; that of order ``n`` at ``place(n)``.
    """
    lag = _lag(rate)
    payer = standard_webhooks.simulator(Account((secret,), {}, {}))
    made = []
    for n in range(count + lag):
        made.append(_order(orders.order_bytes(n, prefix), token))
        paid = n - lag
        if paid >= 0:
            made.append(_payment(payer, paid, prefix))
        else:
            made.append(_order(orders.order_bytes(n, f"{prefix}x"), token))
    return made


def place(n: int, rate: int) -> int:
    """Return the place of the payment of order ``n`` in the schedule."""
    return 2 * (n + _lag(rate)) + 1


def _lag(rate: int) -> int:
    return round(rate * _PAID_AFTER_S)


def _order(body: bytes, token: str) -> bytes:
    head = (
        "POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _payment(payer: Simulator, n: int, prefix: str) -> bytes:
    order = orders.order(n, prefix=prefix)
    amount = Decimal(order["amounts"]["payable"])
    trade = Trade(f"{prefix}{n:08d}", order["order_no"], amount, Decimal(1), order["currency"])
    # Within the tolerance of a signature, which is five minutes.
    posted = payer.message("paid", trade, at=datetime.now(UTC))
    lines = [f"POST {CALLBACKS} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in posted.headers.items()]
    lines += [f"Content-Length: {len(posted.body)}", "", ""]
    return "\r\n".join(lines).encode() + posted.body


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--rate", type=int, required=True, help="Orders per second; as many payments.")
@click.option("--seconds", type=int, required=True)
@click.option("--prefix", required=True, help="Must be new for every run against one gateway.")
@click.option("--token", envvar="BENCH_TOKEN", required=True)
@click.option("--secret", envvar="BENCH_SECRET", required=True)
def main(port: int, rate: int, seconds: int, prefix: str, token: str, secret: str) -> None:
    """Send orders and their payments at a fixed rate; print when the callbacks were answered."""
    count = rate * seconds
    requests = schedule(count, rate, prefix, token=token, secret=secret)
    run = Run(port=port, requests=requests, rate=2 * rate)
    gc.disable()  # a collection in mid-run would be measured as the service's latency
    sent = run.go()
    replied_s = {}
    for n in range(count):
        if (at_s := run.accepted_s.get(place(n, rate))) is not None:
            replied_s[orders.order(n, prefix=prefix)["order_no"]] = at_s
    sys.stdout.buffer.write(orjson.dumps(msgspec.to_builtins(Paid(replied_s=replied_s, sent=sent))))


if __name__ == "__main__":
    main()
