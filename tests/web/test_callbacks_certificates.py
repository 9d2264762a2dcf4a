"""A callback that is signed with a new key: its certificate is fetched, once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from gateway.clients.certificate_fetch import CertificateFetcher
from gateway.domain.errors import Unavailable
from gateway.runtime import settings as configuration
from gateway.wiring import Gateway
from ops.simulators import paypal
from ops.simulators.contract import Trade
from tests.support.site import Site, serve

ACCOUNT = paypal.create()
((URL, CHAIN),) = ACCOUNT.options["chains"].items()  # type: ignore[attr-defined]
PATH = "/v1/callbacks/paypal/main"


@pytest.fixture
def accounts(tmp_path: Path) -> list[configuration.Account]:
    (tmp_path / "secret").write_text(ACCOUNT.secrets[0], "utf-8")
    options = {name: value for name, value in ACCOUNT.options.items() if name != "chains"}
    secrets = [f"file:{tmp_path / 'secret'}"]
    return [configuration.Account("paypal", "main", ["web"], secrets, options)]


class Fetched:
    """The documents at PayPal's URLs, and how often each was fetched."""

    def __init__(self) -> None:
        self.content: bytes | None = str(CHAIN).encode()
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.content is None:
            raise Unavailable("the document of a message")
        return self.content


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Fetched:
    made = Fetched()
    monkeypatch.setattr(CertificateFetcher, "fetch", lambda _, url: made.fetch(url))
    return made


@pytest.fixture
async def site(gateway: Gateway, fetched: Fetched) -> AsyncIterator[Site]:
    async with serve(gateway) as served:
        yield served


async def posted(site: Site) -> aiohttp.ClientResponse:
    trade = Trade("000001", "W-1001", Decimal("199.00"), Decimal("9.00"), "USD")
    posted = paypal.simulator(ACCOUNT).message("paid", trade, at=datetime.now(UTC))
    return await site.client.post(PATH, data=posted.body, headers=posted.headers)


async def test_its_certificate_is_fetched_once(site: Site, fetched: Fetched) -> None:
    assert [(await posted(site)).status for _ in range(3)] == [200, 200, 200]
    assert fetched.asked == [URL]


async def test_without_it_the_provider_is_asked_to_retry(site: Site, fetched: Fetched) -> None:
    fetched.content = None
    answer = await posted(site)
    assert answer.status == 503
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize("content", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA"])
async def test_a_document_that_is_no_certificate_rejects_it(
    site: Site, fetched: Fetched, content: bytes
) -> None:
    fetched.content = content
    assert (await posted(site)).status == 400
