"""CertificateFetcher over real TLS: which are fetched, how often, and within which limits."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.clients import certificate_fetch
from gateway.clients.address_guard import ANYWHERE
from gateway.clients.certificate_fetch import CertificateFetcher
from gateway.domain.errors import Unavailable
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S

FOUND = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nchain"


@dataclass
class Server:
    """An HTTPS server that answers everything with ``answer``, and counts."""

    port: int = 0
    answer: bytes = FOUND
    requests: list[bytes] = field(default_factory=list)
    #: Answers wait for it.
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0
    open_max: int = 0

    def url(self, path: str = "cert", host: str = "localhost", scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}/{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self.may_answer.wait()
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def server(pem: Path) -> AsyncIterator[Server]:
    made = Server()
    made.may_answer.set()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    made.may_answer.set()
    listening.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def library(pem: Path, clock: ManualClock) -> AsyncIterator[CertificateFetcher]:
    tls = ssl.create_default_context(cafile=str(pem))
    # The test's server is on the loopback.
    made = CertificateFetcher(clock=clock, tls=tls, fetch_s=2 * HANG_S, guard=ANYWHERE)
    yield made
    async with asyncio.timeout(HANG_S):
        await made.close()


async def _is_had(library: CertificateFetcher, url: str) -> bool:
    try:
        async with asyncio.timeout(HANG_S):
            assert await library.fetch(url) == b"chain"
    except Unavailable as error:
        assert error.retry_after_s > 0
        return False
    return True


async def test_a_document_is_fetched(server: Server, library: CertificateFetcher) -> None:
    """One plain request, without cookies or anything of the callback that needs it."""
    assert await _is_had(library, server.url("v1/notifications/certs/CERT-1"))
    (request,) = server.requests
    lines = request.decode().lower().splitlines()
    assert lines[0] == "get /v1/notifications/certs/cert-1 http/1.1"
    assert "accept-encoding: identity" in lines
    assert not any(line.startswith(("cookie", "authorization")) for line in lines)


async def test_a_body_in_pieces_is_put_together(
    server: Server, library: CertificateFetcher
) -> None:
    server.answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nch\r\n3\r\nain\r\n0\r\n\r\n"
    )
    assert await _is_had(library, server.url())


@pytest.mark.parametrize("scheme", ["http", "HTTPS", "ftp", "file", ""])
async def test_https_only(server: Server, library: CertificateFetcher, scheme: str) -> None:
    """No request is made in any other way."""
    assert not await _is_had(library, server.url(scheme=scheme))
    assert server.requests == []


@pytest.mark.parametrize("url", ["", "https://", "https:///cert", "https://[/", "https://a b/"])
async def test_invalid_urls(library: CertificateFetcher, url: str) -> None:
    assert not await _is_had(library, url)


async def test_the_server_must_prove_its_identity(
    server: Server, library: CertificateFetcher, clock: ManualClock
) -> None:
    """Neither a certificate for another name nor one of an unknown authority is accepted."""
    assert not await _is_had(library, server.url(host="127.0.0.1"))
    strict = CertificateFetcher(clock=clock, guard=ANYWHERE)
    assert not await _is_had(strict, server.url())
    await strict.close()
    assert server.requests == []


async def test_private_addresses_are_not_connected_to(
    server: Server, pem: Path, clock: ManualClock
) -> None:
    """Not even where the certificate is right."""
    guarded = CertificateFetcher(clock=clock, tls=ssl.create_default_context(cafile=str(pem)))
    assert not await _is_had(guarded, server.url())
    await guarded.close()
    assert server.requests == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_redirects_are_not_followed(
    server: Server, library: CertificateFetcher, status: str
) -> None:
    target = server.url("elsewhere")
    server.answer = f"HTTP/1.1 {status}\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
    assert not await _is_had(library, server.url())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nchain",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nchain",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ncha",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nchain",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\nchain",
        b"",
    ],
)
async def test_other_answers_are_not_documents(
    server: Server, library: CertificateFetcher, answer: bytes
) -> None:
    server.answer = answer
    assert not await _is_had(library, server.url())


@pytest.mark.parametrize("head", [b"Content-Length: %d\r\n\r\n", b"Connection: close\r\n\r\n"])
@pytest.mark.parametrize("extra", [0, 1])
async def test_a_document_has_a_bound(
    server: Server, library: CertificateFetcher, head: bytes, extra: int
) -> None:
    """64 KiB are a document and one byte more is not, whether its length is announced or not."""
    size = certificate_fetch.DOCUMENT_BYTES_MAX + extra
    head = head % size if b"%d" in head else head
    server.answer = b"HTTP/1.1 200 OK\r\n" + head + b"x" * size
    if extra:
        assert not await _is_had(library, server.url())
    else:
        assert len(await library.fetch(server.url())) == size


async def test_a_hanging_server_is_abandoned(server: Server, pem: Path, clock: ManualClock) -> None:
    """The deadline is for the whole of it, and the default leaves time for the commit."""
    server.may_answer.clear()
    tls = ssl.create_default_context(cafile=str(pem))
    hasty = CertificateFetcher(clock=clock, tls=tls, fetch_s=0.2, guard=ANYWHERE)
    assert not await _is_had(hasty, server.url())
    await hasty.close()
    assert certificate_fetch.FETCH_S <= 2.0


async def test_an_unreachable_server(library: CertificateFetcher, server: Server) -> None:
    assert not await _is_had(library, "https://localhost:1/cert")


async def test_many_callbacks_make_one_request(server: Server, library: CertificateFetcher) -> None:
    """However many wait for a URL, it is fetched once, and all get the answer."""
    server.may_answer.clear()
    waiting = [asyncio.create_task(library.fetch(server.url())) for _ in range(50)]
    await _until(lambda: len(server.requests) == 1)
    server.may_answer.set()
    assert set(await asyncio.gather(*waiting)) == {b"chain"}
    assert len(server.requests) == 1


async def test_a_cancelled_caller_does_not_cancel_others(
    server: Server, library: CertificateFetcher
) -> None:
    """The request goes on for the callers that still wait."""
    server.may_answer.clear()
    first, second = (asyncio.create_task(library.fetch(server.url())) for _ in range(2))
    await _until(lambda: len(server.requests) == 1)
    first.cancel()
    server.may_answer.set()
    assert await second == b"chain"
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize("is_there", [True, False])
async def test_outcomes_are_cached_for_a_while(
    server: Server, library: CertificateFetcher, clock: ManualClock, is_there: bool
) -> None:
    """A flood of callbacks that name a URL makes one request to it in 30 s."""
    if not is_there:
        server.answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    for _ in range(5):
        assert await _is_had(library, server.url()) is is_there
        clock.at_s += 7.4
    assert len(server.requests) == 1
    clock.at_s += certificate_fetch.CACHE_S
    server.answer = FOUND
    assert await _is_had(library, server.url())
    assert len(server.requests) == 2


async def test_the_cache_has_a_limit(server: Server, library: CertificateFetcher) -> None:
    """The oldest URL is dropped first."""
    for n in range(certificate_fetch.CACHED_MAX):
        assert await _is_had(library, server.url(f"{n}"))
    assert await _is_had(library, server.url("0"))
    assert len(server.requests) == certificate_fetch.CACHED_MAX
    assert await _is_had(library, server.url("more"))
    assert await _is_had(library, server.url("1"))
    assert len(server.requests) == certificate_fetch.CACHED_MAX + 1
    assert await _is_had(library, server.url("0"))
    assert len(server.requests) == certificate_fetch.CACHED_MAX + 2


async def test_concurrent_fetches_have_a_limit(server: Server, library: CertificateFetcher) -> None:
    """Above it no caller waits: the provider is asked to retry."""
    server.may_answer.clear()
    waiting = [
        asyncio.create_task(library.fetch(server.url(f"{n}")))
        for n in range(certificate_fetch.FETCHES_MAX)
    ]
    await _until(lambda: len(server.requests) == certificate_fetch.FETCHES_MAX)
    assert not await _is_had(library, server.url("one-too-many"))
    server.may_answer.set()
    assert set(await asyncio.gather(*waiting)) == {b"chain"}
    assert server.open_max == certificate_fetch.FETCHES_MAX
    # It was not tried, so no failure is cached.
    assert await _is_had(library, server.url("one-too-many"))


async def test_closing_abandons_running_fetches(
    server: Server, library: CertificateFetcher
) -> None:
    """Waiting callers get an error, and nothing more is fetched."""
    server.may_answer.clear()
    waiting = asyncio.create_task(_is_had(library, server.url()))
    await _until(lambda: len(server.requests) == 1)
    async with asyncio.timeout(HANG_S):
        await library.close()
        assert await waiting is False
    assert not await _is_had(library, server.url("another"))
    assert len(server.requests) == 1


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not is_so():
            await asyncio.sleep(0.005)
