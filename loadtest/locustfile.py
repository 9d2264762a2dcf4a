"""Locust scenarios: a sale, rehearsed against a gateway where it will run.

Needs an API key that may submit and read, and a gateway with the channel ``web``:

    export TIDEGATE_API_KEY=$(tidegate keys create --name rehearsal --role ingest --role query)
    export LOCUST_HOST=http://127.0.0.1:8080
    locust -f loadtest/locustfile.py --headless --peak 500 --hold-s 300 --csv rehearsal

The workload is open: buyers arrive at a rate that does not depend on the answers. Every
simulated user acts once in ``ACT_EVERY_S``, and no answer may take longer than that, so a
slow gateway does not delay the next arrival. ``--peak`` is in arrivals per second; four in
five submit an order, the others read one. One Locust process makes some hundreds a second: add
``--processes -1`` to use every core, and watch Locust's own CPU warning.

The shape of a sale: a quiet minute (``--quiet-s``) at a twentieth of the peak, up to the
peak within ten seconds, the peak held for ``--hold-s``, two minutes (``--after-s``) at two
fifths. It ends by itself; Locust's own ``--users`` and ``--run-time`` have no effect.

With ``--payments wechatpay=wechatpay.json`` every acknowledged order is paid as well: by a
simulated provider, whose account ``tidegate simulate wechatpay --keys wechatpay.json`` creates.
With several ``--payments`` the buyers spread over the providers. Each must accept CNY.

Orders carry ``is_test``. Reads ask for an order that was acknowledged before, so a lost one is
a failure. Exit status 1 when more than 0.1 % of all requests failed.
"""

import itertools
import os
import random
import secrets
import time
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from locust import FastHttpUser, LoadTestShape, constant_pacing, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from loadtest import orders
from ops.simulators import keys, registry
from ops.simulators.contract import Simulator, Trade

#: Also the time-out of an answer. Below the gateway's ``keepalive_s`` of 5 s, so that users reuse
#: their connections, as a storefront's servers do.
ACT_EVERY_S = 4.0
FAILURE_RATIO_MAX = 0.001
#: The share of buyers that click twice.
DOUBLE_CLICKS = 0.02
_CLIMB_S = 10.0

# Unique per process: with several processes or runs no two orders are alike.
_prefix = f"sale{secrets.token_hex(4)}"
_serials = itertools.count()
_acknowledged: deque[str] = deque(maxlen=10_000)
#: The path of the callbacks and the simulator, for each of ``--payments``.
_providers: list[tuple[str, Simulator]] = []


class Buyer(FastHttpUser):
    """Submits and reads orders, at a steady rate that does not depend on the answers."""

    host = "http://127.0.0.1:8080"
    wait_time = constant_pacing(ACT_EVERY_S)
    connection_timeout = ACT_EVERY_S
    network_timeout = ACT_EVERY_S

    def on_start(self) -> None:
        """Spread the first actions of users that were started together."""
        self._headers = {"Authorization": f"Bearer {_api_key()}"}
        time.sleep(random.uniform(0, ACT_EVERY_S))

    @task(8)
    def check_out(self) -> None:
        """Submit a new order; some buyers click twice."""
        body = orders.order(next(_serials), prefix=_prefix, is_test=True)
        request_id = secrets.token_hex(16)
        placed = self._submit("POST /v1/orders", body, request_id, expected=201)
        if placed is not None:
            _acknowledged.append(placed)
            if _providers:
                self._pay(body)
            if random.random() < DOUBLE_CLICKS:
                self._submit("POST /v1/orders (again)", body, request_id, 200, same=placed)

    @task(2)
    def ask(self) -> None:
        """Read an order that was acknowledged to this process."""
        if not _acknowledged:
            return
        wanted = random.choice(_acknowledged)
        with _untyped(self).rest(
            "GET", f"/v1/orders/{wanted}", name="GET /v1/orders/{id}", headers=self._headers
        ) as response:
            if response.status_code != 200:
                response.failure(f"acknowledged, but answered with {response.status_code}")

    def _pay(self, order: Any) -> None:
        """Have a provider report the full payment, and check that the answer acknowledges it."""
        path, simulator = random.choice(_providers)
        due = Decimal(order["amounts"]["payable"])
        serial = order["order_no"].replace("-", "")
        trade = Trade(serial, order["order_no"], due, Decimal(0), order["currency"])
        posted = simulator.message("paid", trade, at=datetime.now(UTC))
        with _untyped(self).client.post(
            path, data=posted.body, headers=dict(posted.headers), name=path, catch_response=True
        ) as response:
            content_type = response.headers.get("Content-Type", "") if response.headers else ""
            body = response.content or b""
            if not simulator.is_acknowledged(response.status_code, content_type, body):
                response.failure(f"a payment was answered with {response.status_code}")

    def _submit(
        self, name: str, body: Any, request_id: str, expected: int, same: str | None = None
    ) -> str | None:
        headers = {**self._headers, "Idempotency-Key": request_id}
        post = _untyped(self).rest
        with post("POST", "/v1/orders", name=name, json=body, headers=headers) as response:
            if response.status_code != expected or response.js is None:
                response.failure(f"{expected} expected, not {response.status_code}")
                return None
            placed = str(response.js["id"])
            if same is not None and placed != same:
                response.failure("a second click made a second order")
            return placed


class Sale(LoadTestShape):
    """Quiet, a steep climb, the peak, and the long evening after it."""

    def tick(self) -> tuple[int, float] | None:
        """Return the wanted number of users and the users to start per second; None at the end."""
        # Locust does not type these two.
        elapsed_s: float = _untyped(self).get_run_time()
        options = _untyped(self).runner.environment.parsed_options
        peak_users = options.peak * ACT_EVERY_S
        climbed_s = options.quiet_s + _CLIMB_S
        for ends_s, share in (
            (options.quiet_s, 0.05),
            (climbed_s + options.hold_s, 1.0),
            (climbed_s + options.hold_s + options.after_s, 0.4),
        ):
            if elapsed_s < ends_s:
                return max(1, round(share * peak_users)), max(1.0, peak_users / _CLIMB_S)
        return None


def _untyped(thing: object) -> Any:
    return thing


def _api_key() -> str:
    key = os.environ.get("TIDEGATE_API_KEY")
    if not key:
        raise SystemExit("set TIDEGATE_API_KEY: `tidegate keys create` makes one")
    return key


def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--peak", type=float, default=20.0, help="arrivals per second at the peak")
    parser.add_argument("--quiet-s", type=float, default=60.0, help="seconds before the climb")
    parser.add_argument("--hold-s", type=float, default=300.0, help="seconds to hold the peak")
    parser.add_argument(
        "--payments",
        action="append",
        default=[],
        metavar="PROVIDER[/ACCOUNT]=FILE",
        help="pay the orders through this simulated account (its name: main); repeatable",
    )
    parser.add_argument("--after-s", type=float, default=120.0, help="seconds after the peak")


def _prepare(environment: Environment, **_: Any) -> None:
    _api_key()
    _providers.clear()
    # Without parsed options Locust is used as a library.
    given = _untyped(environment.parsed_options).payments if environment.parsed_options else []
    _providers.extend(map(_provider, given))


def _provider(option: str) -> tuple[str, Simulator]:
    provider_account, equals, file = option.partition("=")
    provider, _, account = provider_account.partition("/")
    if not equals or provider not in registry.names():
        known = ", ".join(registry.names())
        raise SystemExit(f"--payments {option}: give PROVIDER=FILE, with a provider of {known}")
    module = registry.provider(provider)
    if "paid" not in module.KINDS or "CNY" not in module.CURRENCIES:
        raise SystemExit(f"--payments {option}: {provider} takes no payments in CNY here")
    try:
        stored = keys.load(Path(file))
    except ValueError as exc:
        raise SystemExit(f"--payments {option}: {exc}") from None
    return f"/v1/callbacks/{provider}/{account or 'main'}", module.simulator(stored)


def _judge(environment: Environment, **_: Any) -> None:
    total = environment.stats.total
    if total.num_requests == 0 or total.fail_ratio > FAILURE_RATIO_MAX:
        environment.process_exit_code = 1


_untyped(events.init_command_line_parser).add_listener(_add_options)
_untyped(events.init).add_listener(_prepare)
_untyped(events.quitting).add_listener(_judge)
