"""The client for outbound HTTP beside a real server: honest, rude, slow and private."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.clients.address_guard import ANYWHERE, AddressGuard
from gateway.clients.http_client import Answer, CallFailed, HostBreakers, HttpClient
from gateway.runtime.circuit_breaker import CircuitBreaker
from tests.support.fakes.clock import ManualClock
from tests.support.patience import HANG_S

_FOUND = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_BYTES_MAX = 1000
#: Above what any call here may take.
_PATIENCE_S = 10.0


@dataclass
class Server:
    """Answers every request with ``answer``; counts connections and requests."""

    port: int = 0
    answer: bytes = _FOUND
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                self.requests.append(
                    head + await reader.readexactly(int(length[1] if length else 0))
                )
                if not self.answer:
                    await asyncio.sleep(2 * HANG_S)
                writer.write(self.answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()


def client(**changes: Any) -> HttpClient:
    options: dict[str, Any] = {
        "call_s": _PATIENCE_S,
        "answer_bytes_max": _BYTES_MAX,
        "connections_max": 4,
        "guard": ANYWHERE,
        "is_https_only": False,
        "is_reusing": True,
    }
    return HttpClient(**{**options, **changes})


@pytest.fixture
async def plain() -> AsyncIterator[HttpClient]:
    made = client()
    yield made
    await made.close()


async def test_what_is_sent(server: Server) -> None:
    """No coding is accepted, and headers of the client go with every call."""
    made = client(headers={"Authorization": "Bearer s3cret"})
    assert await made.post(server.url(), b'{"a": 1}') == Answer(200, b"hello")
    assert await made.get(server.url()) == Answer(200, b"hello")
    await made.close()
    posted, got = server.requests
    assert posted.startswith(b"POST / HTTP/1.1\r\n") and posted.endswith(b'\r\n\r\n{"a": 1}')
    assert got.startswith(b"GET / HTTP/1.1\r\n")
    for head in (posted, got):
        assert b"Authorization: Bearer s3cret\r\n" in head
        assert b"Accept-Encoding: identity\r\n" in head
        assert b"User-Agent: tidegate\r\n" in head
        assert b"Cookie" not in head


async def test_connections_are_reused_only_where_asked(server: Server, plain: HttpClient) -> None:
    for _ in range(3):
        await plain.get(server.url())
    assert server.connections == 1
    closing = client(is_reusing=False)
    for _ in range(3):
        await closing.get(server.url())
    await closing.close()
    assert server.connections == 4


@pytest.mark.parametrize("status", ["204 No Content", "201 Created"])
async def test_every_success_is_an_answer(server: Server, plain: HttpClient, status: str) -> None:
    server.answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    assert await plain.get(server.url()) == Answer(int(status[:3]), b"")


async def test_the_body_of_an_error_is_not_read(server: Server, plain: HttpClient) -> None:
    """It may be of any size. What came with its head is there for who asks."""
    server.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 100000\r\n\r\nbegin"
    assert await plain.get(server.url()) == Answer(500, b"", excerpt=b"begin")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_redirects_are_not_followed(server: Server, plain: HttpClient, status: str) -> None:
    server.answer = (
        f"HTTP/1.1 {status}\r\nLocation: {server.url()}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert await plain.get(server.url()) == Answer(int(status[:3]), b"")
    assert len(server.requests) == 1


async def test_cookies_are_not_kept(server: Server, plain: HttpClient) -> None:
    server.answer = _FOUND.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n")
    for _ in range(2):
        await plain.get(server.url())
    assert b"a=b" not in server.requests[1]


async def test_a_proxy_of_the_environment_is_not_used(
    server: Server, plain: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await plain.get(server.url())).status == 200


@pytest.mark.parametrize("head", [b"Content-Length: %d\r\n\r\n", b"Connection: close\r\n\r\n"])
@pytest.mark.parametrize("extra", [0, 1])
async def test_an_answer_has_a_bound(server: Server, head: bytes, extra: int) -> None:
    """Exactly the limit is accepted and one byte more is not, announced or not."""
    size = _BYTES_MAX + extra
    made = client()
    server.answer = b"HTTP/1.1 200 OK\r\n" + (head % size if b"%d" in head else head) + b"x" * size
    if b"close" in head:
        server.answer = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n" % size
            + b"x" * size
            + b"\r\n0\r\n\r\n"
        )
    if extra:
        with pytest.raises(CallFailed, match="more than 1000 bytes"):
            await made.get(server.url())
    else:
        assert len((await made.get(server.url())).body) == size
    await made.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nhello",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\nhello",
    ],
)
async def test_what_is_no_answer(server: Server, plain: HttpClient, answer: bytes) -> None:
    server.answer = answer
    with pytest.raises(CallFailed):
        await plain.get(server.url())


@pytest.mark.parametrize("url", ["", "http://", "https://[/", "no address", "file:///etc/passwd"])
async def test_what_is_no_url(plain: HttpClient, url: str) -> None:
    with pytest.raises(CallFailed):
        await plain.get(url)


async def test_a_server_that_hangs_is_abandoned(server: Server) -> None:
    made = client(call_s=0.05)
    server.answer = b""
    with pytest.raises(CallFailed, match="no complete answer within"):
        async with asyncio.timeout(HANG_S):
            await made.get(server.url())
    await made.close()


async def test_plain_http_is_not_used_where_https_is_required(server: Server) -> None:
    made = client(is_https_only=True)
    with pytest.raises(CallFailed, match="not https"):
        await made.get(server.url())
    await made.close()
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
async def test_loopback_is_refused_with_the_guard_and_reached_without(
    server: Server, host: str
) -> None:
    guarded = client(guard=AddressGuard())
    with pytest.raises(CallFailed, match="the address is not public"):
        await guarded.get(server.url(host))
    await guarded.close()
    assert server.connections == 0
    if host != "127.1.2.3":
        open_ = client()
        assert (await open_.get(server.url(host))).status == 200
        await open_.close()
        assert server.connections == 1


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.1", "192.168.0.1"]]
)
async def test_a_public_name_with_private_addresses_is_not_connected_to(
    server: Server, addresses: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: whatever a name resolves to, each address is checked as it is connected to."""

    async def resolve(host: str, port: int, **_: object) -> list[Any]:
        assert host == "shop.example"
        tcp = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [(socket.AF_INET, *tcp, (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    guarded = client(guard=AddressGuard())
    with pytest.raises(CallFailed):
        await guarded.get(server.url("shop.example"))
    await guarded.close()
    assert server.connections == 0


def _breaker() -> CircuitBreaker:
    return CircuitBreaker(
        window_s=10.0,
        calls_min=2,
        failed_share=0.5,
        open_s=2.0,
        open_s_max=2.0,
        probes=1,
        probe_s=5.0,
        jitter=lambda: 0.0,
    )


async def test_an_open_breaker_spares_a_failing_server(server: Server) -> None:
    """Errors of the server open it; after its pause one call finds out whether it is back."""
    clock = ManualClock()
    made = client(breakers=HostBreakers(_breaker, clock))
    server.answer = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    for _ in range(2):
        assert (await made.get(server.url())).status == 503
    with pytest.raises(CallFailed, match="circuit breaker is open"):
        await made.get(server.url())
    assert len(server.requests) == 2
    clock.at_s += 2.5
    server.answer = _FOUND
    for _ in range(2):
        assert (await made.get(server.url())).status == 200
    await made.close()


async def test_what_the_client_sent_wrong_opens_no_breaker(server: Server) -> None:
    made = client(breakers=HostBreakers(_breaker, ManualClock()))
    server.answer = b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"
    for _ in range(5):
        assert (await made.get(server.url())).status == 400
    await made.close()


async def test_calls_without_an_answer_open_the_breaker() -> None:
    made = client(breakers=HostBreakers(_breaker, ManualClock()))
    for _ in range(2):
        with pytest.raises(CallFailed, match="refused: nothing listens"):
            await made.get("http://127.0.0.1:1/")
    with pytest.raises(CallFailed, match="circuit breaker is open"):
        await made.get("http://127.0.0.1:1/")
    await made.close()


async def test_each_host_has_a_breaker_of_its_own(server: Server) -> None:
    made = client(breakers=HostBreakers(_breaker, ManualClock()))
    for _ in range(2):
        with pytest.raises(CallFailed, match="refused"):
            await made.get("http://127.0.0.1:1/")
    with pytest.raises(CallFailed, match="circuit breaker is open"):
        await made.get("http://127.0.0.1:1/")
    assert (await made.get(server.url())).status == 200
    await made.close()


def test_the_gateway_and_its_workers_connect_here_only() -> None:
    """Every outbound call has these bounds: a client of another kind would have none of them."""
    root = Path(gateway.__file__).parent.parent
    calling = re.compile(
        r"ClientSession|http\.client|urllib\.request|httpx|(create|open)_connection\("
    )
    naming = {
        file.relative_to(root).as_posix()
        for package in ("gateway", "workers")
        for file in (root / package).rglob("*.py")
        # The pages of /docs show how others call.
        if "docs" not in file.parts and calling.search(file.read_text("utf-8"))
    }
    assert naming == {"gateway/clients/http_pool.py"}


@pytest.mark.parametrize("coding", [b"Identity", b"UTF-8", b"none", b""])
async def test_a_coding_that_compresses_nothing_is_read(
    server: Server, plain: HttpClient, coding: bytes
) -> None:
    server.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: " + coding + b"\r\n\r\nhello"
    )
    assert await plain.get(server.url()) == Answer(200, b"hello")
