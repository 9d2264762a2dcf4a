"""Which kind of target is sent to by what, and with which options.

A sender connects to nothing before its first message, so making one only finds out whether its
settings are right: a worker with wrong ones does not start, and does not take them by a reload.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.clients import kafka
from gateway.clients.kafka import KafkaSender
from gateway.clients.webhook import WebhookSender
from gateway.domain.handoff import Sender
from gateway.runtime.clock import Clock
from gateway.runtime.settings import SettingsError, secret
from gateway.runtime.settings_targets import Target, TargetKind
from gateway.stores.redis.order_stream import OrderStream

T = TypeVar("T", bound=Struct)


class WebhookOptions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a webhook."""

    #: Sent as `Authorization: Bearer …`, for a receiver that wants a key besides the signature;
    #: `env:NAME` or `file:PATH`; empty: none is sent.
    bearer_token: str = ""
    #: Authorities that its certificate is checked with, a PEM file; empty: the system's.
    ca_file: str = ""


class RedisStreamOptions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a stream."""

    #: The key of the stream.
    stream: Annotated[str, Meta(min_length=1, max_length=512)] = "tidegate:orders"
    #: Entries kept, about; the oldest are dropped, whether they were read or not. 0: all are kept.
    length_max: Annotated[int, Meta(ge=0, le=1 << 40)] = 0


class KafkaOptions(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a topic."""

    topic: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]{1,249}$(?!\n)")] = "tidegate.orders"
    is_tls: bool = False
    #: Authorities that the brokers' certificates are checked with; empty: the system's.
    ca_file: str = ""
    #: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; empty: the brokers ask for no password.
    sasl_mechanism: kafka.Mechanism = ""
    sasl_username: str = ""
    #: `env:NAME` or `file:PATH`.
    sasl_password: str = ""


def open_sender(target: Target, *, clock: Clock, environ: Mapping[str, str]) -> Sender:
    """Return what sends to a target, for the caller to close. Raises ``SettingsError``.

    Each sender has connections of its own: a slow target takes none of another's.
    """
    try:
        return _KINDS[target.kind](target, clock, environ)
    except ValueError as exc:
        raise SettingsError(f"targets: {target.name}: {exc}") from exc


def _webhook(target: Target, clock: Clock, environ: Mapping[str, str]) -> Sender:
    options = _options(target, WebhookOptions)
    token = secret(options.bearer_token, environ) if options.bearer_token else ""
    return WebhookSender(
        url=target.url,
        secrets=[secret(each, environ) for each in target.secrets],
        call_s=target.call_s,
        in_flight_max=target.in_flight_max,
        allowed=target.private_addresses,
        clock=clock,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        tls=_trusting(options.ca_file) if options.ca_file else None,
    )


def _redis_stream(target: Target, clock: Clock, environ: Mapping[str, str]) -> Sender:
    options = _options(target, RedisStreamOptions)
    url = target.url
    if url.startswith(("env:", "file:")):
        url = secret(url, environ)
        if not url.startswith(("redis://", "rediss://", "unix:")):
            raise ValueError(f"what {target.url} holds is not written redis://host:6379/0")
    return OrderStream(
        url=url, stream=options.stream, length_max=options.length_max, call_s=target.call_s
    )


def _kafka(target: Target, clock: Clock, environ: Mapping[str, str]) -> Sender:
    options = _options(target, KafkaOptions)
    return KafkaSender(
        servers=target.url.removeprefix("kafka://").split(","),
        topic=options.topic,
        call_s=target.call_s,
        access=kafka.Access(
            is_tls=options.is_tls,
            ca_file=options.ca_file,
            sasl_mechanism=options.sasl_mechanism,
            sasl_username=options.sasl_username,
            sasl_password=(secret(options.sasl_password, environ) if options.sasl_password else ""),
        ),
    )


_KINDS: Mapping[TargetKind, Callable[[Target, Clock, Mapping[str, str]], Sender]] = {
    "webhook": _webhook,
    "redis_stream": _redis_stream,
    "kafka": _kafka,
}


def _options(target: Target, shape: type[T]) -> T:
    try:
        return msgspec.convert(dict(target.options), shape)
    except msgspec.ValidationError as error:
        # Only a process that will not start needs it.
        from gateway.runtime import value_faults

        raise ValueError(f"options: {value_faults.sentence(error, shape)}") from None


def _trusting(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:  # ssl.SSLError too
        raise ValueError(f"options: ca_file {ca_file} cannot be read as certificates") from exc
