"""Every setting: its unit, its default and the reason for it.

A setting ``drain_s`` is the environment variable ``TIDEGATE_DRAIN_S`` or the key ``drain_s``
of the file that ``TIDEGATE_CONFIG`` names (``./tidegate.toml`` where it is not set and the
file exists). The environment wins. Channels and provider accounts live in the file.
A wrong or contradictory set raises ``SettingsError``: nothing starts on half a configuration.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.runtime import addresses

ENV_PREFIX = "TIDEGATE_"
DEFAULT_FILE = Path("tidegate.toml")

_SECRET_FIELDS = frozenset(
    {"database_url", "replica_urls", "redis_url", "journal_url", "inventory_token"}
)
_FILE_ONLY = frozenset({"channels", "accounts"})

#: What a gateway process answers.
ProcessRole = Literal["core", "query", "all"]
#: Seconds and numbers have an upper bound too: what has none is no setting but a mistake.
Positive = Annotated[float, Meta(gt=0, le=7 * 86400)]
Count = Annotated[int, Meta(ge=1, le=1 << 30)]


class SettingsError(ValueError):
    """The settings do not make sense; the message names the setting and the way out."""


class Channel(Struct, frozen=True, forbid_unknown_fields=True):
    """A sales channel. Orders name one of these; the list is closed."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$(?!\n)")]
    #: What to do with an order that looks like another of the last ten minutes and carries a
    #: request id of its own: store and hold it, answer with the first, or take no notice.
    lookalike: Literal["hold", "replay", "off"] = "hold"
    #: Orders a second that storefronts may submit for it to all processes together, beyond which
    #: they are answered 429; 0: as many as they like. And how many at once.
    orders_per_s_max: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    orders_burst: Count = 100


class Account(Struct, frozen=True, forbid_unknown_fields=True):
    """An account at a payment provider: callbacks arrive at /v1/callbacks/{provider}/{name}."""

    provider: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$(?!\n)")]
    name: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$(?!\n)")]
    #: The channels whose orders this account is paid for; ``out_trade_no`` is looked up there.
    channels: Annotated[list[str], Meta(min_length=1)]
    #: One or two (while rotating), each ``env:NAME`` or ``file:PATH``; never the secret itself.
    secrets: Annotated[list[str], Meta(min_length=1, max_length=2)]
    #: What the provider's own file asks for: app id, seller, live or test.
    options: dict[str, Any] = {}


def _default_channels() -> list[Channel]:
    names = ("web", "app", "mini_program", "store", "tmall", "jd", "pinduoduo", "douyin")
    return [Channel(name) for name in names]


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The effective settings of a process, read once at its start."""

    # --- where things are ---

    #: The Postgres primary, ``postgresql://…``. What must be right is settled there.
    database_url: str
    #: Streaming replicas, comma separated; reads go there when they have caught up.
    replica_urls: str = ""
    #: Redis or Valkey, ``redis://…``: makes repeats cheap. Everything works without, slower.
    redis_url: str = ""
    #: The key ring for sealing private fields; made by ``tidegate keys seal-init``.
    keyring_file: str = ".tidegate/keyring.toml"
    #: Where ``serve`` listens.
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    #: What ``serve`` answers: ``core``: orders and callbacks; ``query``: the rest; ``all``: both.
    #: Core in processes of its own loses nothing to a flood of the rest.
    role: ProcessRole = "all"

    # --- limits before work ---

    #: Largest order in bytes. 256 KiB holds 200 lines with long names.
    order_bytes_max: Count = 256 * 1024
    #: Largest callback in bytes; providers stay under 20 KB.
    callback_bytes_max: Count = 64 * 1024
    #: Seconds for a body to arrive; a slow sender must not hold a connection.
    body_s: Positive = 5.0
    #: Seconds an idle or half-sent request head may hold a connection; up to a quarter more, so
    #: that those that came together do not end together.
    keepalive_s: Positive = 5.0
    #: Connections per process; above it new ones are closed at once.
    connections_max: Count = 2000

    # --- overload ---

    #: ``act``: refuse the lesser features under load. ``watch``: measure, count what would have
    #: been refused, and refuse nothing.
    shedding: Literal["act", "watch"] = "act"
    #: Requests a second of one process that count as full load by themselves; 0: no such number.
    requests_per_s_max: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    #: Requests a second that one API key may make of all processes together, beyond which it is
    #: answered 429; 0: as many as it likes. And how many at once. Without Redis: of each process.
    key_requests_per_s_max: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    key_burst: Count = 100
    #: Bytes that may wait for their commit until submissions are refused to keep memory bounded.
    ack_bytes_max: Count = 64 * 1024 * 1024

    # --- operators ---

    #: Where `/v1/admin/…` listens, for keys with the role `operate`; port 0: nowhere.
    admin_host: str = "127.0.0.1"
    admin_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    #: The directory of this machine where processes can be asked without any server, and where what
    #: an operator says is kept while the database is away. The same for all on a machine.
    control_dir: str = ".tidegate/control"

    # --- group commit ---

    #: Rows of one batch. Past 100 rows a statement gains little; past 500 it only adds latency.
    batch_rows_max: Count = 200
    #: Raw bytes of one batch, so that large orders do not make huge statements.
    batch_bytes_max: Count = 4 * 1024 * 1024
    #: Batches of one lane in flight. One commits while the next gathers and looks up.
    batches_in_flight: Annotated[int, Meta(ge=1, le=8)] = 2
    #: Events waiting for a batch in one process; above it 503, so that memory has a bound.
    waiting_max: Count = 5000
    #: Seconds until a batch is given up with 503. An event waits half as long for its batch, at
    #: most: together well inside the 5 s a provider waits.
    commit_s: Positive = 3.0

    # --- Postgres ---

    #: Connections to the primary per process: 2 lanes x batches in flight, one to park with and one
    #: to change remarks; reads get the rest.
    database_pool_max: Count = 9
    #: Connections to each replica per process.
    replica_pool_max: Count = 4
    #: Seconds a read waits for a replica to catch up before it goes to the primary.
    replica_wait_s: Positive = 0.05
    #: Seconds of lag above which a replica is left alone until it recovers.
    replica_lag_max_s: Positive = 2.0
    #: Seconds for one query of the read side.
    query_s: Positive = 3.0

    # --- the live inventory ---

    #: Where the stock of an order is asked while it comes in, ``http(s)://…``; empty: nowhere.
    inventory_url: str = ""
    #: The bearer's token for it, ``env:NAME`` or ``file:PATH``; empty: none is sent.
    inventory_token: str = ""
    #: Seconds that it may take; an order that has waited so long is taken unchecked.
    inventory_s: Positive = 0.2

    # --- exports and streams ---

    #: Orders of one export; one that is larger is broken off, never quietly cut short.
    export_rows_max: Count = 1_000_000
    #: Exports at once in one process; each reads pages of the read side as fast as it is read.
    exports_max: Count = 2
    #: Live streams at once in one process.
    streams_max: Count = 50

    # --- Redis ---

    #: Seconds a committed result is remembered in Redis. Postgres remembers for good.
    results_ttl_s: Count = 600
    #: Seconds a Redis call may take; slower than this, Postgres is the faster answer.
    redis_s: Positive = 0.25
    #: Seconds to leave Redis alone after a failure.
    redis_pause_s: Positive = 1.0

    # --- the journal, for the time that Postgres is away ---

    #: Redis or Valkey that keeps what Postgres can not take now; empty: the one of ``redis_url``.
    #: It must run with appendonly, appendfsync always, noeviction and a maxmemory, or it is not
    #: used.
    journal_url: str = ""
    #: Streams the journal is spread over. More nodes of a cluster share the work; raise it only.
    journal_shards: Annotated[int, Meta(ge=1, le=64)] = 4
    #: Seconds until a batch that Postgres did not commit is journaled and answered with 202.
    journal_after_s: Positive = 1.0
    #: Events waiting for a batch above which batches are journaled: Postgres can not keep up.
    journal_queue: Count = 2000
    #: Seconds a journal call may take; a provider waits 5 s for everything together.
    journal_s: Positive = 0.5
    #: Seconds between two looks whether the journal's server would keep its word.
    journal_check_s: Positive = 10.0
    #: Share of the journal's memory above which nothing is journaled: 503 is better than a halt.
    journal_fill_max: Annotated[float, Meta(gt=0, le=1)] = 0.95
    #: Seconds a journaled order is recognised by the journal; the ledger knows it for good.
    journal_claim_s: Count = 24 * 3600

    # --- lifecycle ---

    #: Seconds to finish what was accepted after SIGTERM.
    drain_s: Positive = 10.0
    #: Seconds an API key is believed without asking again; bounds how long a revoked one works.
    api_key_ttl_s: Positive = 2.0

    # --- keeping ---

    #: Months that raw messages are kept; whole partitions are dropped.
    raw_months: Count = 6
    #: Hours that refused callbacks are kept, for `tidegate callbacks refused`.
    refused_keep_h: Count = 72
    #: Rejected callbacks kept at most; the oldest go first.
    refused_rows_max: Count = 2000
    #: Rejected callbacks kept in a minute, for each account and reason; the others are counted.
    refused_minute_max: Count = 20
    #: Seconds between two sweeps for payments and orders that missed each other.
    sweep_s: Positive = 2.0
    #: Seconds after which an event that still waits for its order is shown to a person.
    unknown_order_s: Positive = 900.0

    # --- logs ---

    #: Least severe log line that is written; debug is for a developer's own machine.
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # --- only in the file ---

    #: Sales channels that orders may name; a closed list, so that a misspelt one is refused.
    channels: list[Channel] = msgspec.field(default_factory=_default_channels)
    #: Payment provider accounts whose callbacks are taken; none by default.
    accounts: list[Account] = []

    def channel_policies(self) -> dict[str, Literal["hold", "replay", "off"]]:
        """Return the look-alike policy of every configured channel by its name."""
        return {channel.name: channel.lookalike for channel in self.channels}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read file and environment. Raises ``SettingsError`` with one sentence a person can act on."""
    environ = os.environ if environ is None else environ
    values = _read_file(environ)
    for name in Settings.__struct_fields__:
        text = environ.get(ENV_PREFIX + name.upper())
        if text is not None and name not in _FILE_ONLY:
            values[name] = text
    if not values.get("database_url"):
        raise SettingsError(
            "database_url is not set: give TIDEGATE_DATABASE_URL=postgresql://user:password@host/db,"
            " "
            "or run `tidegate up`, which brings its own servers"
        )
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as exc:
        raise SettingsError(f"settings: {exc}") from exc
    _refuse_contradictions(settings)
    return settings


def _read_file(environ: Mapping[str, str]) -> dict[str, Any]:
    named = environ.get(ENV_PREFIX + "CONFIG")
    path = Path(named) if named else DEFAULT_FILE
    if not named and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"{path} can not be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} is not valid TOML: {exc}") from exc


def _refuse_contradictions(settings: Settings) -> None:
    names = [channel.name for channel in settings.channels]
    if not names or len(set(names)) != len(names):
        raise SettingsError("channels: there must be at least one, each named once")
    seen = set()
    for account in settings.accounts:
        label = f"accounts: {account.provider}/{account.name}"
        if (account.provider, account.name) in seen:
            raise SettingsError(f"{label} stands twice; give each account its own name")
        seen.add((account.provider, account.name))
        if unknown := set(account.channels) - set(names):
            raise SettingsError(f"{label} names unknown channels {', '.join(sorted(unknown))}")
    if settings.database_pool_max < 2 * settings.batches_in_flight + 3:
        raise SettingsError(
            f"database_pool_max is {settings.database_pool_max}, but two lanes of "
            f"{settings.batches_in_flight} batches, one to park with, one for remarks and one "
            f"read need {2 * settings.batches_in_flight + 3}"
        )
    if settings.commit_s >= settings.drain_s:
        raise SettingsError("commit_s must be below drain_s, or a drain can not finish a batch")
    urls = [settings.database_url, *filter(None, settings.replica_urls.split(","))]
    if not all(url.strip().startswith(("postgresql://", "postgres://")) for url in urls):
        raise SettingsError(
            "database_url and replica_urls are written postgresql://user:password@host:port/db, "
            "with / # ? @ : % in a password percent-encoded"
        )
    for name in ("redis_url", "journal_url"):
        url = getattr(settings, name)
        if url and not url.startswith(("redis://", "rediss://", "unix:")):
            raise SettingsError(f"{name} must be written redis://:password@host:6379/0")
    if settings.inventory_url and not addresses.is_plain_http(settings.inventory_url):
        raise SettingsError(
            "inventory_url must be written https://host/path without a password, or be empty"
        )
    if settings.journal_after_s + settings.journal_s > settings.commit_s:
        raise SettingsError(
            "journal_after_s and journal_s together must not be above commit_s, "
            "or nobody waits any more when a batch is journaled"
        )
    if settings.replica_urls and settings.replica_wait_s >= settings.query_s:
        raise SettingsError("replica_wait_s must be below query_s")


def secret(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """Fetch the secret that ``env:NAME`` or ``file:PATH`` points to, without trailing newline.

    Raises ``SettingsError`` when it is not there or empty, naming the reference and not the value.
    """
    environ = os.environ if environ is None else environ
    kind, _, where = reference.partition(":")
    if kind == "env":
        value = environ.get(where, "")
    elif kind == "file":
        try:
            value = Path(where).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f"secret {reference} can not be read: {exc}") from exc
    else:
        raise SettingsError("a secret is written env:NAME or file:PATH, never as it is")
    value = value.rstrip("\r\n")
    if not value:
        raise SettingsError(f"secret {reference} is empty or not set")
    return value


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings for people: URLs with passwords and secrets read ``configured``."""
    plain: dict[str, Any] = msgspec.to_builtins(settings)
    for name in _SECRET_FIELDS:
        plain[name] = "configured" if plain[name] else "not set"
    for account in plain["accounts"]:
        account["secrets"] = ["configured"] * len(account["secrets"])
    return plain
