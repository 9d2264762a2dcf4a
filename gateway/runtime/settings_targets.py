"""The settings of targets: whom changes of orders are handed on to, and what is wrong with them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from gateway.runtime import addresses

#: The topics that can be subscribed to.
Topic = Literal[
    "order.placed",
    "order.paid",
    "order.accepted",
    "order.shipped",
    "order.cancelling",
    "order.refunded",
    "order.closed",
    "order.completed",
    "order.changed",
]
TargetKind = Literal["webhook", "redis_stream", "kafka"]
_Seconds = Annotated[float, Meta(gt=0, le=7 * 86400)]


class Target(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A system that is told of changes of orders: a warehouse, an ERP, an event bus.

    It is told of what changes after a worker first read it in its settings.
    """

    #: Stands in tables, metrics and commands. A target under another name is another target.
    name: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$(?!\n)")]
    #: `webhook`: a signed POST (Standard Webhooks); `redis_stream`: XADD; `kafka`: a record keyed
    #: by the order.
    kind: TargetKind
    #: `https://host/path` (`http://` only to a private address that is allowed),
    #: `redis://:password@host:6379/0` or `env:NAME`, `file:PATH` of it, `kafka://host:9092,host:9092`.
    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    #: Of a webhook: one or two (while rotating) to sign with, each `env:NAME` or `file:PATH`.
    secrets: Annotated[list[str], Meta(max_length=2)] = []
    #: The topics that it is told of; empty: all.
    topics: list[Topic] = []
    #: The channels whose orders it is told of; empty: all.
    channels: list[str] = []
    #: Where the goods go: `CN`, `CN/广东省` or `CN/广东省/深圳市`; empty: everywhere.
    regions: list[str] = []
    #: Whether it is told of test orders, and of no others.
    is_test: bool = False
    #: Whether it is sent the recipient, the address and the remark in clear. Others get country,
    #: province, city and district.
    has_private: bool = False
    #: Whose word it is that it has taken an order over: `never`: nobody's; `answer`: its 2xx to
    #: `order.paid`; `callback`: a message of its own, later.
    accepts: Literal["never", "answer", "callback"] = "never"
    #: Seconds within which it accepts an order that it is told is paid, where it accepts any; later
    #: that is a missed order.
    missed_after_s: _Seconds = 600.0
    #: Attempts of one delivery; the last one that fails makes it a dead letter.
    attempts_max: Annotated[int, Meta(ge=1, le=100)] = 15
    #: Seconds until the first retry, at most; each further one may take twice as long.
    retry_first_s: _Seconds = 5.0
    #: Seconds between two attempts at most.
    retry_max_s: _Seconds = 3600.0
    #: Seconds that one attempt may take.
    call_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    #: Attempts at once, of one worker.
    in_flight_max: Annotated[int, Meta(ge=1, le=1024)] = 64
    #: Host names, addresses and networks (`10.0.0.0/8`) that may be called although they are
    #: private.
    private_addresses: list[str] = []
    #: What the kind needs beside these: `stream` and `length_max` of `redis_stream`, `topic` and
    #: what the client takes of `kafka`.
    options: dict[str, Any] = {}


def faults(targets: Sequence[Target], channels: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the targets, each a sentence that names the way out."""
    seen = set()
    for target in targets:
        label = f"targets: {target.name}"
        if target.name in seen:
            yield f"{label} is listed twice; give each target its own name"
        seen.add(target.name)
        if unknown := set(target.channels) - set(channels):
            yield f"{label} names unknown channels {', '.join(sorted(unknown))}"
        if not all(map(_is_region, target.regions)):
            yield (
                f"{label}: a region is written CN, CN/province or CN/province/city, without blanks "
                "around its parts"
            )
        if target.retry_first_s > target.retry_max_s:
            yield f"{label}: retry_first_s must not be above retry_max_s"
        yield from (f"{label}: {fault}" for fault in _kind_faults(target))


def _kind_faults(target: Target) -> Iterator[str]:
    if target.kind == "webhook":
        if not addresses.is_plain_http(target.url):
            yield "url must be written https://host/path, without a password or blanks"
        if not target.secrets:
            yield "secrets is missing: a webhook is signed; name one as env:NAME or file:PATH"
    elif target.secrets:
        yield f"secrets are for webhooks, a {target.kind} is not signed: leave them out"
    if target.kind == "redis_stream" and not target.url.startswith(
        ("redis://", "rediss://", "unix:", "env:", "file:")
    ):
        yield "url must be written redis://host:6379/0, or env:NAME or file:PATH of such a one"
    if target.kind == "kafka" and not _is_kafka(target.url):
        yield "url must be written kafka://host:9092, several as kafka://host:9092,host:9092"


def _is_region(text: str) -> bool:
    parts = text.split("/")
    is_country = len(parts[0]) == 2 and parts[0].isascii() and parts[0].isupper()
    return is_country and len(parts) <= 3 and all(part and part == part.strip() for part in parts)


def _is_kafka(text: str) -> bool:
    servers = text.removeprefix("kafka://")
    return text.startswith("kafka://") and all(map(_is_server, servers.split(",")))


def _is_server(text: str) -> bool:
    try:
        url = urlsplit(f"//{text}")
        return bool(url.hostname and url.port) and text.isprintable() and not {*"@/?# "} & {*text}
    except ValueError:
        return False
