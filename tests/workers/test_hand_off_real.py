"""The hand-off with real senders: signed, to real receivers, and to none of the private network."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
import standardwebhooks

from gateway.clients import webhook_signing
from gateway.runtime.clock import SystemClock
from gateway.runtime.settings import SettingsError
from gateway.runtime.settings_targets import Target
from gateway.wiring import Gateway
from tests.clients.test_ssrf import LOOPBACK_HOSTS
from tests.clients.test_webhook import Target as Receiver
from tests.domain.support import due, paid
from tests.stores.support import Database, submit, tell
from tests.support.messages import outbound
from tests.support.patience import until
from tests.workers.handoff import dispatcher, relay, running, target, targets
from workers.senders import open_sender
from workers.targets import OpenTarget, Targets

_SECRET = webhook_signing.new_secret(os.urandom)
_ENVIRON = {"SECRET": _SECRET}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield made
    server.close()


def opened(to: Target) -> OpenTarget:
    return OpenTarget(to, (), open_sender(to, clock=SystemClock(), environ=_ENVIRON))


def webhook(url: str, **changes: Any) -> OpenTarget:
    return opened(target(url=url, secrets=["env:SECRET"], **changes))


async def handed_on(gateway: Gateway, ledger: Database, to: Targets) -> list[tuple[Any, ...]]:
    """Place and pay an order, and return what became of the attempts to tell the targets."""
    relaying = relay(gateway, to)
    await relaying.round()
    await submit(gateway, due(1, order_no="W-1"))
    await tell(gateway, paid(order_no="W-1", transaction_id="T-1"), "evt_1")
    await relaying.round()

    async def is_over() -> bool:
        query = "SELECT count(*) FROM deliveries WHERE dead_at IS NULL"
        return bool(await ledger.fetchval(query) == 0)

    async with running(dispatcher(gateway, to)):
        await until(is_over)
    for each in to.now.values():
        await each.sender.close()
    query = "SELECT topic, outcome, reason FROM delivery_attempts ORDER BY started_at"
    return [tuple(row) for row in await ledger.fetch(query)]


async def test_a_receiver_verifies_what_an_order_became(
    gateway: Gateway, ledger: Database, receiver: Receiver
) -> None:
    to = targets(webhook(receiver.url, private_addresses=["127.0.0.1"]))
    assert await handed_on(gateway, ledger, to) == [
        ("order.placed", "delivered", None),
        ("order.paid", "delivered", None),
    ]
    library = standardwebhooks.Webhook(_SECRET)
    for line, headers, body in receiver.messages:
        assert line == "POST /hook HTTP/1.1"
        library.verify(body, headers)
        assert json.loads(body)["data"]["event_id"] == headers["webhook-id"]


async def test_a_stream_has_what_an_order_became(
    gateway: Gateway, ledger: Database, valkey: "redis.Redis"
) -> None:
    url = gateway.settings.redis_url
    to = targets(opened(target(kind="redis_stream", url=url, options={"stream": "orders"})))
    attempts = await handed_on(gateway, ledger, to)
    assert [outcome for _, outcome, _ in attempts] == ["delivered", "delivered"]
    entries: Any = valkey.xrange("orders")
    assert [fields[b"topic"] for _, fields in entries] == [b"order.placed", b"order.paid"]
    assert [json.loads(fields[b"body"])["type"] for _, fields in entries] == [
        "order.placed",
        "order.paid",
    ]


async def test_no_attempt_reaches_the_private_network(
    gateway: Gateway, ledger: Database, receiver: Receiver
) -> None:
    """A target whose network is not allowed: its attempts fail, and become a dead letter."""
    to = targets(
        webhook(
            receiver.url.replace("127.0.0.1", "localhost"),
            private_addresses=["10.0.0.0/8"],
            topics=["order.paid"],
            attempts_max=2,
        )
    )
    attempts = await handed_on(gateway, ledger, to)
    assert attempts == [("order.paid", "failed", "the address is not public")] * 2
    assert not receiver.messages


async def test_a_name_that_leads_inside_later_is_refused_then(
    gateway: Gateway, ledger: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding between two attempts: the second is refused although the first was allowed."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    resolving = loop.getaddrinfo

    async def resolve(host: Any, port: Any, **options: Any) -> list[Any]:
        if host != "rebound.example":
            return list(await resolving(host, port, **options))
        asked.append(host)
        address = "127.0.0.9" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
    monkeypatch.setattr("gateway.clients.name_lookup._KEPT_S", 0.0)
    url = receiver.url.replace("127.0.0.1", "rebound.example")
    to = targets(
        webhook(url, private_addresses=["127.0.0.9"], topics=["order.paid"], attempts_max=2)
    )
    attempts = await handed_on(gateway, ledger, to)
    assert [reason for _, _, reason in attempts] == [
        "the connection was refused: nothing listens there",
        "the address is not public",
    ]
    assert not receiver.messages and len(asked) == 2


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
async def test_no_spelling_of_the_loopback_is_a_target(receiver: Receiver, host: str) -> None:
    """It is refused at the start, or its attempts fail."""
    port = receiver.url.rpartition(":")[2]
    for scheme in ("https", "http"):
        try:
            to = webhook(f"{scheme}://{host}:{port}", private_addresses=["10.0.0.0/8"])
        except SettingsError as exc:
            assert str(exc).startswith("targets: wms: ")
            continue
        result = await to.sender.send(outbound())
        assert (result.outcome, result.reason) == ("failed", "the address is not public")
        await to.sender.close()
    assert not receiver.messages
