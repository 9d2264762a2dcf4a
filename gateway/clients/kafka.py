"""Hands events on to a topic of Kafka, through ``aiokafka``, which is an optional extra.

Records of one order have one key, so they are in one partition and in sequence. The producer is
idempotent: what it repeats by itself is there once. What was sent again because its acknowledgement
was lost is there twice, with the same ``event_id`` in its headers.
"""

import asyncio
import importlib.util
import logging
import ssl
from typing import Any, Literal

from msgspec import Struct

from gateway.domain.handoff import OutboundMessage, SendResult

Mechanism = Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

#: The library's own class, which has no annotations.
_Producer = Any

#: Seconds that records wait for company: none. Those of one round trip go together all the same.
_LINGER_MS = 0

_REASONS = {
    "GroupAuthorizationFailedError": "the brokers do not let this user write",
    "ClusterAuthorizationFailedError": "the brokers do not let this user write idempotently",
    "InvalidTopicError": "the name of the topic is not valid",
    "KafkaConnectionError": "no broker can be reached",
    "KafkaTimeoutError": "the brokers did not acknowledge in time",
    "MessageSizeTooLargeError": "the record is larger than the topic allows",
    "NodeNotReadyError": "no broker can be reached",
    "NotEnoughReplicasError": "too few replicas of the topic are in sync",
    "RecordTooLargeError": "the record is larger than the topic allows",
    "RequestTimedOutError": "the brokers did not acknowledge in time",
    "SaslAuthenticationError": "the brokers do not accept the user or password",
    "TopicAuthorizationFailedError": "the brokers do not let this user write to the topic",
    "UnknownTopicOrPartitionError": "there is no such topic, and the brokers make none",
}
#: They are about one record, and say nothing of the producer.
_OF_THE_RECORD = frozenset({"MessageSizeTooLargeError", "RecordTooLargeError"})


class Access(Struct, frozen=True, kw_only=True):
    """How the brokers let us in."""

    is_tls: bool = False
    #: Trusted instead of the system's authorities; empty: the system's.
    ca_file: str = ""
    sasl_mechanism: Mechanism = ""
    sasl_username: str = ""
    sasl_password: str = ""


class KafkaSender:
    """Sends to one topic. ``close`` it; until the first message nothing is connected."""

    def __init__(self, *, servers: list[str], topic: str, call_s: float, access: Access) -> None:
        """Prepare a sender. Raises ``ValueError`` that says what is wrong or missing."""
        if importlib.util.find_spec("aiokafka") is None:
            raise ValueError(
                "the kind kafka needs the package aiokafka: install tidegate with its extra, "
                "`pip install 'tidegate[kafka]'`"
            )
        if bool(access.sasl_mechanism) != bool(access.sasl_username and access.sasl_password):
            raise ValueError(
                "sasl_mechanism, sasl_username and sasl_password belong together: give all or none"
            )
        if access.ca_file and not access.is_tls:
            raise ValueError("ca_file is for TLS: set is_tls = true, or leave it out")
        self._topic = topic
        self._call_s = call_s
        protocol = ("SASL_" if access.sasl_mechanism else "") + (
            "SSL" if access.is_tls else "PLAINTEXT"
        )
        self._options: dict[str, Any] = {
            "bootstrap_servers": servers,
            "client_id": "tidegate",
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": _LINGER_MS,
            "request_timeout_ms": max(1, int(call_s * 1000)),
            "security_protocol": protocol,
            "ssl_context": _tls(access) if access.is_tls else None,
        }
        if access.sasl_mechanism:
            self._options |= {
                "sasl_mechanism": access.sasl_mechanism,
                "sasl_plain_username": access.sasl_username,
                "sasl_plain_password": access.sasl_password,
            }
        self._producer: asyncio.Task[_Producer] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, message: OutboundMessage) -> SendResult:
        """Send one record, and wait for its acknowledgement by all replicas in sync."""
        producer: asyncio.Task[_Producer] | None = None
        try:
            async with asyncio.timeout(self._call_s):
                producer = self._started()
                await asyncio.wait({producer})
                acknowledged = await producer.result().send(
                    self._topic,
                    message.body,
                    key=str(message.order_id).encode(),
                    timestamp_ms=int(message.occurred_at.timestamp() * 1000),
                    headers=_headers(message),
                )
                await acknowledged
        except TimeoutError:
            self._replace(producer)
            return SendResult("failed", reason="the brokers did not acknowledge in time")
        except Exception as exc:
            # The library's errors have a class each, and some of its own faults are plain ones.
            name = type(exc).__name__
            if name not in _OF_THE_RECORD:
                self._replace(producer)
            return SendResult("failed", reason=_REASONS.get(name, f"the producer failed ({name})"))
        return SendResult("delivered")

    async def close(self) -> None:
        """Abandon what is being sent, and close the connections."""
        self._replace(self._producer)
        if self._closing:
            await asyncio.wait(set(self._closing))

    def _started(self) -> "asyncio.Task[_Producer]":
        if self._producer is None:
            self._producer = asyncio.create_task(_start(self._options), name="start a producer")
        return self._producer

    def _replace(self, producer: "asyncio.Task[_Producer] | None") -> None:
        """Let the next message have a new producer: one that lost a record may refuse all others.

        Nothing is done for the second of two messages that failed together.
        """
        if producer is None or producer is not self._producer:
            return
        self._producer = None
        closing = asyncio.create_task(_stop(producer, within_s=2 * self._call_s), name="replace")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _start(options: dict[str, Any]) -> _Producer:
    # Imported by the first message: few installations have it.
    import aiokafka

    # It logs each try of its own, many a second; what matters is in the result of each message.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    producer = aiokafka.AIOKafkaProducer(**options)
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


async def _stop(starting: "asyncio.Task[_Producer]", *, within_s: float) -> None:
    """Stop a producer, whether it has started or not."""
    starting.cancel()
    await asyncio.wait({starting})
    if starting.cancelled() or starting.exception() is not None:
        return
    producer = starting.result()
    # An idempotent producer never gives a record up, and would wait for a dead broker for good.
    # Whoever asked sends it again. So its sending ends first, with what it has under way.
    sending = producer._sender.sender_task
    sending.cancel()
    await asyncio.wait({sending}, timeout=within_s)
    producer._message_accumulator.fail_all(TimeoutError("given up"))
    stopping = asyncio.create_task(producer.stop(), name="stop a producer")
    await asyncio.wait({stopping}, timeout=within_s)
    for task in (sending, stopping):
        if task.done() and not task.cancelled():
            # Retrieved, so that asyncio does not report it.
            task.exception()


def _headers(message: OutboundMessage) -> list[tuple[str, bytes]]:
    return [
        ("event_id", str(message.event_id).encode()),
        ("topic", message.topic.encode()),
        ("order_no", message.order_no.encode()),
        ("version", str(message.version).encode()),
    ]


def _tls(access: Access) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=access.ca_file or None)
    except (OSError, ssl.SSLError) as exc:
        raise ValueError(f"ca_file {access.ca_file} cannot be read as certificates") from exc
