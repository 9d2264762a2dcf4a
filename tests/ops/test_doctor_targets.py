"""What ``tidegate doctor`` says of targets."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.clients import webhook_signing
from gateway.runtime.settings import Settings
from gateway.runtime.settings_targets import Target
from ops.doctor import targets
from ops.doctor.findings import Finding
from tests.clients.test_webhook import Target as Receiver

_ENVIRON = {"SECRET": webhook_signing.new_secret(os.urandom)}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield made
    server.close()


async def found(**changes: Any) -> Finding:
    fields: dict[str, Any] = {"name": "wms", "kind": "webhook", "secrets": ["env:SECRET"]}
    target = Target(**{**fields, **changes})
    settings = Settings(database_url="postgresql://nowhere", targets=[target])
    (finding,) = await targets.targets(settings, _ENVIRON)
    assert finding.check == "target wms"
    return finding


async def test_none() -> None:
    (finding,) = await targets.targets(Settings(database_url="postgresql://nowhere"), {})
    assert (finding.check, finding.level) == ("targets", "ok")


async def test_one_that_can_be_reached_is_sent_nothing(receiver: Receiver) -> None:
    finding = await found(url=receiver.url, private_addresses=["127.0.0.1"], topics=["order.paid"])
    assert (finding.level, finding.found) == ("ok", "webhook: can be reached; is told order.paid")
    assert not receiver.messages


async def test_one_in_a_private_network(receiver: Receiver) -> None:
    finding = await found(url=receiver.url, private_addresses=["10.0.0.0/8"])
    assert finding.level == "warn" and "not public" in finding.found
    assert "private_addresses" in finding.advice


async def test_one_that_is_not_there() -> None:
    finding = await found(url="http://127.0.0.1:1/", private_addresses=["127.0.0.1"])
    assert finding.level == "warn" and "refused" in finding.found


async def test_one_with_wrong_settings() -> None:
    finding = await found(url="https://wms.example/", secrets=["env:NONE"])
    assert (finding.level, finding.found) == ("fail", "secret env:NONE is empty or not set")
    assert "no worker starts" in finding.advice


async def test_one_of_another_kind_is_not_called() -> None:
    finding = await found(kind="redis_stream", url="redis://127.0.0.1:1/0", secrets=[])
    assert (finding.level, finding.found) == ("ok", "redis_stream: is told everything")
