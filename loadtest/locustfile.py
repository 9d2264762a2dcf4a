"""Locust scenarios: a sale, rehearsed against a gateway where it will run.

In the project's directory, with a gateway that runs (`make run` in another terminal):

    make loadtest                              # installs Locust first; a minute at 20 arrivals/s
    make loadtest PEAK=200 MINUTES=5 HOST=http://127.0.0.1:8080 KEY_FILE=.tidegate/api-key
    make loadtest WEB=1                        # Locust's own page, on http://127.0.0.1:8089
    .venv/bin/locust -f loadtest/locustfile.py --headless --peak 500 --hold-s 300 --csv rehearsal

It needs an API key that may submit and read orders, and a gateway with the channel ``web``. The key
is that of ``--key-file``, else that of TIDEGATE_API_KEY, else the one that `make run` has made.

The workload is open: buyers arrive at a rate that does not depend on the answers. Every
simulated user acts once in ``ACT_EVERY_S``, and no answer may take longer than that, so a
slow gateway does not delay the next arrival. ``--peak`` is in arrivals per second; four in
five submit an order, the others read one. One Locust process makes some hundreds a second: add
``--processes -1`` to use every core, and watch Locust's own CPU warning.

The shape of a sale: a quiet minute (``--quiet-s``) at a twentieth of the peak, up to the
peak within ten seconds, the peak held for ``--hold-s``, two minutes (``--after-s``) at two
fifths. With ``--minutes`` there is the climb and so many minutes of the peak. It ends by itself;
Locust's own ``--users`` and ``--run-time`` have no effect.

With ``--payments wechatpay=wechatpay.json`` every acknowledged order is paid as well: by a
simulated provider, whose account ``tidegate simulate wechatpay --keys wechatpay.json`` creates.
With several, separated by commas, the buyers spread over the providers. Each must accept CNY, and
be configured at the gateway with ``is_test = true``: it pays test orders.

Orders carry ``is_test``, so the section of an account that pays them in ``tidegate.toml`` says
``is_test = true``: live money pays live orders only. Reads ask for an order that was acknowledged
before, so a lost one is a failure. Exit status 1 when more than 0.1 % of all requests failed.
"""

import itertools
import random
import secrets
import time
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import flask
from locust import FastHttpUser, LoadTestShape, constant_pacing, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtest import orders, rehearsal
from loadtest.rehearsal import Paying
from ops.simulators.contract import Trade

#: Also the time-out of an answer. Below the gateway's ``keepalive_s`` of 5 s, so that users reuse
#: their connections, as a storefront's servers do.
ACT_EVERY_S = 4.0
FAILURE_RATIO_MAX = 0.001
#: The share of buyers that click twice.
DOUBLE_CLICKS = 0.02

# Unique per process: with several processes or runs no two orders are alike.
_prefix = f"sale{secrets.token_hex(4)}"
_serials = itertools.count()
_acknowledged: deque[str] = deque(maxlen=10_000)
_providers: list[Paying] = []


class Buyer(FastHttpUser):
    """Submits and reads orders, at a steady rate that does not depend on the answers."""

    host = "http://127.0.0.1:8080"
    wait_time = constant_pacing(ACT_EVERY_S)
    connection_timeout = ACT_EVERY_S
    network_timeout = ACT_EVERY_S

    def on_start(self) -> None:
        """Spread the first actions of users that were started together."""
        self._headers = {"Authorization": f"Bearer {_api_key(self.environment)}"}
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
        for phase in rehearsal.phases(
            minutes=options.minutes,
            quiet_s=options.quiet_s,
            hold_s=options.hold_s,
            after_s=options.after_s,
        ):
            if elapsed_s < phase.ends_s:
                users = max(1, round(phase.share * peak_users))
                return users, max(1.0, peak_users / rehearsal.CLIMB_S)
        return None


def _untyped(thing: object) -> Any:
    return thing


def _api_key(environment: Environment) -> str:
    options = _untyped(environment.parsed_options)
    # Without parsed options Locust is used as a library.
    return rehearsal.api_key(Path(options.key_file) if options and options.key_file else None)


def _add_options(parser: LocustArgumentParser) -> None:
    for name, default, what in (
        ("peak", 20.0, "arrivals per second at the peak"),
        ("minutes", 0.0, "minutes at the peak, without quiet and after; 0: the whole sale"),
        ("quiet-s", 60.0, "seconds before the climb"),
        ("hold-s", 300.0, "seconds to hold the peak"),
        ("after-s", 120.0, "seconds after the peak"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, help=what)
    parser.add_argument(
        "--payments",
        default="",
        metavar="PROVIDER[/ACCOUNT]=FILE,...",
        help="pay the orders through these simulated accounts (their name: main)",
    )
    parser.add_argument(
        "--key-file",
        default="",
        include_in_web_ui=False,
        help=f"file with an API key; default: ${rehearsal.KEY_VARIABLE}, then "
        f"{rehearsal.DEFAULT_KEY_FILE}",
    )


def _prepare(environment: Environment, web_ui: Any = None, **_: Any) -> None:
    """Check the command line before anything is started, and the form before it is obeyed."""
    options = environment.parsed_options
    if options is None:
        return
    given = {name: str(getattr(options, name)) for name in (*rehearsal.NUMBERS, "payments")}
    found = rehearsal.faults(given)
    try:
        key = _api_key(environment)
        if web_ui is None and not found and not isinstance(environment.runner, WorkerRunner):
            rehearsal.check_gateway(rehearsal.host(environment.host or Buyer.host), key)
    except rehearsal.Wrong as exc:
        found.append(str(exc))
    if found:
        raise SystemExit("\n".join(found))
    if web_ui is not None:
        _check_form(environment, web_ui)


def _check_form(environment: Environment, web_ui: Any) -> None:
    def check() -> flask.Response | None:
        form = flask.request.form
        if flask.request.method != "POST" or not flask.request.path.endswith("/swarm"):
            return None
        found = rehearsal.faults(form)
        if not found:
            try:
                address = rehearsal.host(form.get("host") or environment.host or Buyer.host)
                rehearsal.check_gateway(address, _api_key(environment))
            except rehearsal.Wrong as exc:
                found.append(str(exc))
        if not found:
            return None
        answer = {"success": False, "message": "; ".join(found), "host": environment.host}
        return flask.jsonify(answer)

    # With a login Locust checks who asks later than this.
    if not _untyped(environment.parsed_options).web_login:
        web_ui.app.before_request(check)


def _begin(environment: Environment, **_: Any) -> None:
    """Take over what the form, or the command line, says about payments."""
    options = _untyped(environment.parsed_options)
    _providers[:] = rehearsal.providers(options.payments) if options else []
    if environment.host:
        environment.host = rehearsal.host(environment.host)


def _judge(environment: Environment, **_: Any) -> None:
    total = environment.stats.total
    if total.num_requests == 0 or total.fail_ratio > FAILURE_RATIO_MAX:
        environment.process_exit_code = 1


_untyped(events.init_command_line_parser).add_listener(_add_options)
_untyped(events.init).add_listener(_prepare)
_untyped(events.test_start).add_listener(_begin)
_untyped(events.quitting).add_listener(_judge)
