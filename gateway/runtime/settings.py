"""Every setting: its unit, its default and the reason for it.

A setting ``drain_s`` is the environment variable ``TIDEGATE_DRAIN_S`` or the key ``drain_s``
of the file that ``TIDEGATE_CONFIG`` names (``./tidegate.toml`` where it is not set and the
file exists). The environment wins. Channels, provider accounts, targets and rules live
in the file.
A wrong or contradictory set raises ``SettingsError``: nothing starts on half a configuration.
``settings_source`` reads them, ``settings_checks`` finds contradictions.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.runtime import file_faults, settings_rules
from gateway.runtime.settings_alerts import AlertChannel, AlertSetting
from gateway.runtime.settings_exceptions import ExceptionPolicy
from gateway.runtime.settings_rules import Rule
from gateway.runtime.settings_targets import Target

ENV_PREFIX = "TIDEGATE_"

_SECRET_FIELDS = frozenset(
    {"database_url", "replica_urls", "redis_url", "journal_url", "inventory_token"}
)
#: Keys and chains of certificates are far shorter. A device that never ends is no secret.
_SECRET_CHARS_MAX = 1024 * 1024

#: What a gateway process answers.
ProcessRole = Literal["core", "query", "all"]
#: Seconds and counts have an upper bound too: a larger value is a mistake.
Positive = Annotated[float, Meta(gt=0, le=7 * 86400)]
Count = Annotated[int, Meta(ge=1, le=1 << 30)]


class SettingsError(ValueError):
    """The settings are invalid; the message names the setting and the way out."""


class Channel(Struct, frozen=True, forbid_unknown_fields=True):
    """A sales channel. Orders name one of these; the list is closed."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$(?!\n)")]
    #: What to do with an order that looks like another of the last ten minutes and is no double
    #: click: `hold`: store it and hold it for review; `replay`: answer it with the first, of which
    #: its number becomes an alias; `off`: store it like any other.
    lookalike: Literal["hold", "replay", "off"] = "hold"
    #: Seconds within which a second order of the same buyer, goods, amount and phone, sent without
    #: an `Idempotency-Key`, is a double click: it is answered with the first, of which its number
    #: becomes an alias. `lookalike` decides about all others. 0: there is no such window.
    lookalike_window_s: Annotated[int, Meta(ge=0, le=600)] = 10
    #: Payments of one order: `accept`: several may add up to what is due; `single`: one must cover
    #: it, and another amount is parked.
    parts: Literal["accept", "single"] = "accept"
    #: Recipient of an order: `required`: name, phone and street must be there; `optional`: what is
    #: missing is fine (downloads, pick-up, a cash desk).
    recipient: Literal["required", "optional"] = "required"
    #: Who takes the money: `provider`: only its messages make an order paid; `platform`: whoever
    #: may submit the channel's orders may submit them as paid already.
    paid_by: Literal["provider", "platform"] = "provider"
    #: Seconds after which an order that is not paid at all is closed as `timed_out`. 0: never. An
    #: order keeps the time that it was placed with; with 0, none is closed any more.
    unpaid_timeout_s: Annotated[int, Meta(ge=0, le=90 * 86400)] = 0
    #: Rate limit of the channel's orders per second, over all processes; above it 429. 0: no limit.
    #: And the burst: how many at once.
    orders_per_s_max: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    orders_burst: Count = 100


class Account(Struct, frozen=True, forbid_unknown_fields=True):
    """An account at a payment provider: callbacks arrive at /v1/callbacks/{provider}/{name}."""

    provider: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$(?!\n)")]
    name: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$(?!\n)")]
    #: The channels whose orders are paid to this account; ``out_trade_no`` is looked up there.
    channels: Annotated[list[str], Meta(min_length=1)]
    #: One or two (while rotating), each ``env:NAME`` or ``file:PATH``; never the secret itself.
    secrets: Annotated[list[str], Meta(min_length=1, max_length=2)]
    #: What the provider's adapter requires: app id, seller, live or test.
    options: dict[str, Any] = {}
    #: Whether it is one of a sandbox: its messages are about test orders only, as those of others
    #: are about live ones only. Unset: what ``options`` say, where the provider has a word for it.
    is_test: bool | None = None


def _default_channels() -> list[Channel]:
    names = ("web", "app", "mini_program", "store", "tmall", "jd", "pinduoduo", "douyin")
    return [Channel(name) for name in names]


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The effective settings of a process, read at its start; see ``reload_plan`` for later."""

    # --- where things are ---

    #: The Postgres primary, ``postgresql://…``: the ledger, the source of truth.
    database_url: str
    #: Streaming replicas, comma separated; reads go there when they have caught up.
    replica_urls: str = ""
    #: Redis or Valkey, ``redis://…``: makes repeats cheap. Everything works without it, slower.
    redis_url: str = ""
    #: The key ring for sealing private fields; made by ``tidegate keys seal-init``.
    keyring_file: str = ".tidegate/keyring.toml"
    #: Where ``serve`` listens.
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    #: Where clients reach the gateway, ``https://host``, as the OpenAPI document says it; empty:
    #: where they read that document.
    public_url: str = ""
    #: What ``serve`` answers: ``core``: orders and callbacks; ``query``: the rest; ``all``: both.
    #: In processes of its own, core is not affected by a flood of other requests.
    role: ProcessRole = "all"

    # --- limits before work ---

    #: Largest order body, in bytes. 256 KiB holds 200 items with long names.
    order_bytes_max: Count = 256 * 1024
    #: Largest callback body, in bytes; payment providers stay under 20 KB. Shops send whole orders:
    #: their messages may have 2 MiB.
    callback_bytes_max: Count = 64 * 1024
    #: Seconds a request body may take to arrive; a slow client must not hold a connection.
    body_s: Positive = 5.0
    #: Seconds an idle connection or a half-sent request head stays open. Up to a quarter is added,
    #: another share for each connection: those that opened together do not close together.
    keepalive_s: Positive = 5.0
    #: Connections per process; above it, new ones are closed at once.
    connections_max: Count = 2000

    # --- overload ---

    #: ``act``: reject lower-tier features under load. ``watch``: measure, count what would be
    #: rejected, and reject nothing.
    shedding: Literal["act", "watch"] = "act"
    #: Requests a second of one process that count as full load by themselves; 0: no such limit.
    requests_per_s_max: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    #: Rate limit of requests a second for each API key, over all processes (without Redis: for each
    #: process); above it 429. 0: no limit. And the burst: how many at once.
    key_requests_per_s_max: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    key_burst: Count = 100
    #: Bytes that may wait for their commit; above it submissions are rejected, to bound memory.
    ack_bytes_max: Count = 64 * 1024 * 1024

    # --- operators ---

    #: Where `/v1/admin/…` listens, for keys with the role `operate`; port 0: not at all.
    admin_host: str = "127.0.0.1"
    admin_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    #: The directory of the control sockets, which reach a process without any server, and of the
    #: override spool, for the time that the database is unavailable. One per machine.
    control_dir: str = ".tidegate/control"

    #: What one person may release or refund alone, by currency, ``CNY 1000.00, EUR 200``: above it
    #: a second person must approve. Where a currency has none: a release of any amount, no refund.
    approval_above: Annotated[
        str,
        Meta(
            pattern=r"^(?:[A-Z]{3} [0-9]+(?:\.[0-9]+)?(?:, *[A-Z]{3} [0-9]+(?:\.[0-9]+)?)*)?$(?!\n)"
        ),
    ] = ""
    #: Seconds within which a second person must approve an action, or it expires.
    approval_s: Positive = 86400.0

    # --- group commit ---

    #: Rows of one batch. Past 100 rows a statement gains little; past 500 it only adds latency.
    batch_rows_max: Count = 200
    #: Raw bytes of one batch, so that large orders do not make huge statements.
    batch_bytes_max: Count = 4 * 1024 * 1024
    #: Batches of one lane in flight. One commits while the next gathers and looks up.
    batches_in_flight: Annotated[int, Meta(ge=1, le=8)] = 2
    #: Events waiting for a batch in one process; above it 503, so that memory has a bound.
    waiting_max: Count = 5000
    #: Seconds until a batch times out with 503. An event waits at most half as long for its batch:
    #: together well within the 5 s that a provider waits.
    commit_s: Positive = 3.0

    # --- Postgres ---

    #: Connections to the primary per process: 2 lanes x batches in flight, one to park events, one
    #: to change remarks; reads get the rest. For the hand-off a worker has 6 more, and a gateway
    #: with targets 1.
    database_pool_max: Count = 9
    #: Connections to each replica per process.
    replica_pool_max: Count = 4
    #: Seconds a read waits for a replica to catch up before it goes to the primary.
    replica_wait_s: Positive = 0.05
    #: Seconds of replica lag above which a replica gets no reads until it recovers.
    replica_lag_max_s: Positive = 2.0
    #: Seconds one query of the read side may take.
    query_s: Positive = 3.0

    # --- the live inventory ---

    #: The live inventory that checks the stock of an order on its arrival, ``http(s)://…``; empty:
    #: no check.
    inventory_url: str = ""
    #: The bearer token for it, ``env:NAME`` or ``file:PATH``; empty: none is sent.
    inventory_token: str = ""
    #: Seconds the stock check may take; after that the order is accepted unchecked.
    inventory_s: Positive = 0.2

    # --- exports and streams ---

    #: Orders of one export; a larger one ends with an error and is never silently truncated.
    export_rows_max: Count = 1_000_000
    #: Exports at once in one process; each reads pages as fast as its client reads.
    exports_max: Count = 2
    #: Live streams at once in one process.
    streams_max: Count = 50

    # --- Redis ---

    #: Seconds a committed result is stored in Redis. Postgres stores it permanently.
    results_ttl_s: Count = 600
    #: Seconds a Redis call may take; slower than this, Postgres is the faster answer.
    redis_s: Positive = 0.25
    #: Seconds without any Redis call after a failure.
    redis_pause_s: Positive = 1.0

    # --- the journal, for the time that Postgres is unavailable ---

    #: Redis or Valkey that stores what Postgres cannot take now; empty: the one of ``redis_url``.
    #: It must run with appendonly, appendfsync always, noeviction and a maxmemory, or it is not
    #: used.
    journal_url: str = ""
    #: Streams the journal is spread over, to share the work among cluster nodes. Never lower it.
    journal_shards: Annotated[int, Meta(ge=1, le=64)] = 4
    #: Seconds until a batch that Postgres did not commit is journaled and answered with 202.
    journal_after_s: Positive = 1.0
    #: Events waiting for a batch above which batches are journaled: Postgres cannot keep up.
    journal_queue: Count = 2000
    #: Seconds a journal call may take; a provider waits 5 s in all.
    journal_s: Positive = 0.5
    #: Seconds between two checks that the journal's server is configured to be durable.
    journal_check_s: Positive = 10.0
    #: Share of the journal's memory in use above which nothing is journaled but answered with 503.
    journal_fill_max: Annotated[float, Meta(gt=0, le=1)] = 0.95
    #: Seconds the journal recognises a repeat of an order; the ledger does so permanently.
    journal_claim_s: Count = 24 * 3600

    # --- lifecycle ---

    #: Seconds to finish what was accepted after SIGTERM.
    drain_s: Positive = 10.0
    #: Seconds an API key is cached before it is read again: how long a revoked one may still work.
    api_key_ttl_s: Positive = 2.0

    # --- retention ---

    #: Months that raw messages are stored; whole partitions are dropped.
    raw_months: Count = 6
    #: Months that attempts of deliveries are stored; whole partitions are dropped.
    attempts_months: Count = 3
    #: Months that the change feed reaches back; whole partitions are dropped.
    changes_months: Count = 6
    #: Hours that rejected callbacks are stored, for `tidegate callbacks refused`.
    refused_keep_h: Count = 72
    #: Rejected callbacks stored at most; the oldest are deleted first.
    refused_rows_max: Count = 2000
    #: Rejected callbacks stored per minute, account and reason; the others are only counted.
    refused_minute_max: Count = 20
    #: Seconds between two sweeps that match payments with orders that arrived after them.
    sweep_s: Positive = 2.0
    #: Seconds after which payments and orders are looked at once more: whether they have met, and
    #: whether what is paid was told so.
    recheck_s: Positive = 5.0
    #: Seconds after which an event that still waits for its order is marked for a person.
    unknown_order_s: Positive = 900.0

    # --- exceptions ---

    #: Seconds that an order may stay paid in part before it is an exception (`payment_timeout`).
    part_paid_s: Positive = 24 * 3600.0
    # --- alerts ---

    #: What stands before the path of a page in an alert, such as `runbooks/faults.md`: where the
    #: folder `ops/` of this project can be read, `https://…/ops/`; empty: nothing.
    runbook_url: str = ""

    # --- the night ---

    #: When the nightly scan compares payments with orders, as HH:MM of the clock in
    #: `business_zone`. It scans the business day before; a night in which no worker ran is made up
    #: for.
    nightly_at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$(?!\n)")] = "02:00"
    #: The time zone of business days, as `Asia/Shanghai`.
    business_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "Asia/Shanghai"
    #: Days before the business day that a scan looks at again, for what was settled late.
    scan_back_days: Annotated[int, Meta(ge=0, le=31)] = 2
    #: Hours after which money that is owed to a buyer is a finding of the scan.
    refund_owed_h: Count = 72

    # --- workers ---

    #: Where `tidegate work` shows /metrics, /healthz and /readyz, without a key; port 0: nowhere.
    #: Each worker of a machine needs a port of its own.
    worker_metrics_host: str = "127.0.0.1"
    worker_metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 9464
    #: How far a worker steps back for others on its machine, as `nice` counts it: orders and
    #: payments are taken first, and what is handed on catches up. 0: not at all.
    worker_nice: Annotated[int, Meta(ge=0, le=19)] = 10

    # --- logs ---

    #: The lowest level that is logged; debug is for a developer's own machine.
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # --- only in the file ---

    #: Sales channels that orders may name; a closed list, so that a misspelt one is rejected.
    channels: list[Channel] = msgspec.field(default_factory=_default_channels)
    #: Payment provider accounts whose callbacks are accepted; none by default.
    accounts: list[Account] = []
    #: Targets: warehouses, ERPs and event buses that changes of orders are handed on to; none by
    #: default.
    targets: list[Target] = []
    #: Owner, deadline and escalation of the exceptions of a class.
    exceptions: list[ExceptionPolicy] = []
    #: Where alerts go; none by default: then nobody is told.
    alert_channels: list[AlertChannel] = []
    #: What differs from the rules of alerts as they are by themselves.
    alerts: list[AlertSetting] = []
    #: Screening rules that every order is tried against when it is stored; none by default. See the
    #: guide to screening.
    rules: list[Rule] = []


#: Settings that are tables, each of which the file alone has.
FILE_ONLY = frozenset(
    {"channels", "accounts", "targets", "exceptions", "alert_channels", "alerts", "rules"}
)


def secret(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """Return the secret that ``env:NAME`` or ``file:PATH`` names, without trailing newline.

    Raises ``SettingsError`` when it is missing or empty, naming the reference and not the value.
    """
    environ = os.environ if environ is None else environ
    kind, _, where = reference.partition(":")
    if kind == "env":
        value = environ.get(where, "")
    elif kind == "file":
        try:
            with Path(where).open(encoding="utf-8") as file:
                value = file.read(_SECRET_CHARS_MAX + 1)
        except (OSError, ValueError) as exc:
            reason = file_faults.reason(exc)
            raise SettingsError(f"secret {reference} cannot be read: {reason}") from exc
        if len(value) > _SECRET_CHARS_MAX:
            raise SettingsError(f"secret {reference} has more than {_SECRET_CHARS_MAX} characters")
    else:
        raise SettingsError("a secret is given as env:NAME or file:PATH, never as its value")
    value = value.rstrip("\r\n")
    if not value:
        raise SettingsError(f"secret {reference} is empty or not set")
    return value


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings for display: secrets, and URLs that hold one, read ``configured``."""
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    for name in _SECRET_FIELDS:
        plain[name] = "configured" if plain[name] else "not set"
    for account in plain["accounts"]:
        account["secrets"] = ["configured"] * len(account["secrets"])
    for target in plain["targets"]:
        target["secrets"] = ["configured"] * len(target["secrets"])
        # It may hold a password.
        if target["kind"] == "redis_stream":
            target["url"] = "configured"
    plain["rules"] = [settings_rules.shown(rule) for rule in settings.rules]
    return plain
