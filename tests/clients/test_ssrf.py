"""Whoever chooses a URL does not choose a service of the private network with it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.clients.address_guard import AddressGuard
from gateway.clients.http_client import Answer, CallFailed, HttpClient
from tests.support.patience import HANG_S

_FOUND = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Listener:
    """Counts connections; answers whatever comes."""

    def __init__(self, host: str, answer: bytes = _FOUND) -> None:
        self.host = host
        self.port = 0
        self.answer = answer
        self.connections = 0
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(host: str, port: int = 0, answer: bytes = _FOUND) -> AsyncIterator[Listener]:
    made = Listener(host, answer)
    server = await asyncio.start_server(made.serve, host, port)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@asynccontextmanager
async def client(*allowed: str, is_reusing: bool = False) -> AsyncIterator[HttpClient]:
    made = HttpClient(
        call_s=HANG_S,
        answer_bytes_max=1000,
        connections_max=4,
        guard=AddressGuard(allowed=allowed),
        is_https_only=False,
        is_reusing=is_reusing,
    )
    yield made
    await made.close()


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[str]) -> list[str]:
    """Let the resolver give these answers in turn, the last one for good; return what it is asked.

    None of the product's caches is in the way: each look-up is one of another name.
    """
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: object) -> list[Any]:
        addresses = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        tcp = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, *tcp, (each, 0))
            for each in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve, raising=False)
    return asked


#: Each of them reaches 127.0.0.1, or would with a lenient reader of URLs or addresses.
LOOPBACK_HOSTS = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001",
    "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.01", "127.0.0.1.", "localhost",
    "LOCALHOST", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[::ffff:0:127.0.0.1]", "[::1%25lo]", "[::1%lo]",
    "public.example@127.0.0.1", "public.example:80@127.0.0.1", "127.0.0.1\\@public.example",
    "127.0.0.1%00.public.example", "%31%32%37.0.0.1", "①②⑦.⓪.⓪.①", "127。0。0。1", "ⓛocalhost",
    "127.0.0.1\t", " 127.0.0.1", "127.0.0.1\r\nHost: public.example",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
async def test_no_spelling_of_the_loopback_is_connected_to(host: str) -> None:
    async with listening("127.0.0.1") as inside, client() as guarded:
        with pytest.raises(CallFailed):
            await guarded.get(f"http://{host}:{inside.port}/")
        assert inside.connections == 0


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "[fd00::1]",
     "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[2002:a9fe:a9fe::]", "224.0.0.1",
     "255.255.255.255", "192.0.0.192"],
)  # fmt: skip
async def test_no_private_address_is_connected_to(host: str) -> None:
    """Clouds keep the credentials of a machine behind some of these."""
    async with client() as guarded:
        with pytest.raises(CallFailed, match="the address is not public"):
            await guarded.get(f"http://{host}/latest/meta-data/")


@pytest.mark.parametrize("scheme", ["file", "gopher", "ftp", "dict", "unix", "data", "redis", ""])
async def test_no_other_scheme_is_used(scheme: str) -> None:
    async with listening("127.0.0.1") as inside, client("127.0.0.1") as guarded:
        with pytest.raises(CallFailed, match="does not begin with https"):
            await guarded.get(f"{scheme}://127.0.0.1:{inside.port}/")
        assert inside.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1"])
async def test_a_public_name_that_points_inside(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    async with listening("127.0.0.1") as inside, client() as guarded:
        resolving(monkeypatch, [address])
        with pytest.raises(CallFailed, match="the address is not public"):
            await guarded.get(f"http://rebound.example:{inside.port}/")
        assert inside.connections == 0


async def test_what_is_connected_to_is_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a resolver that has another answer when it is asked again is not asked."""
    async with (
        listening("127.0.0.1") as allowed,
        listening("127.0.0.2", allowed.port) as inside,
        client("127.0.0.1") as guarded,
    ):
        asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
        url = f"http://rebound.example:{allowed.port}/"
        assert await guarded.get(url) == Answer(200, b"hello")
        assert asked == ["rebound.example"] and allowed.connections == 1
        assert allowed.heads[0].startswith(b"GET / HTTP/1.1\r\nHost: rebound.example:")
        # And when it is asked again, what it says is checked again.
        with pytest.raises(CallFailed, match="the address is not public"):
            await guarded.get(f"http://again.rebound.example:{allowed.port}/")
        assert asked == ["rebound.example", "again.rebound.example"]
        assert inside.connections == 0


async def test_of_several_addresses_only_the_permitted_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when the permitted one does not answer: no other is tried instead."""
    async with listening("127.0.0.1") as inside, client("127.0.0.9") as guarded:
        resolving(monkeypatch, ["127.0.0.1", "127.0.0.9", "::1"])
        with pytest.raises(CallFailed, match="refused"):
            await guarded.get(f"http://both.example:{inside.port}/")
        assert inside.connections == 0


async def test_the_next_address_is_tried_when_one_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with listening("127.0.0.1") as inside, client("127.0.0.0/8") as guarded:
        resolving(monkeypatch, ["127.0.0.9", "127.0.0.1"])
        assert (await guarded.get(f"http://two.example:{inside.port}/")).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Not from a permitted server to another one, nor to itself."""
    async with listening("127.0.0.2") as inside:
        to = f"http://127.0.0.2:{inside.port}/"
        redirect = f"HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()
        async with listening("127.0.0.1", answer=redirect) as outside, client("127.0.0.1") as made:
            answer = await made.post(f"http://127.0.0.1:{outside.port}/", b"{}")
        assert answer == Answer(status, b"")
        assert (outside.connections, inside.connections) == (1, 0)


async def test_what_is_allowed_by_name_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening("127.0.0.1") as inside:
        for allowed, host in (
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.0/8", "localhost"),
            ("wms.internal", "wms.internal"),
            ("WMS.internal", "wms.INTERNAL"),
        ):
            resolving(monkeypatch, ["127.0.0.1"])
            async with client(allowed) as guarded:
                assert (await guarded.get(f"http://{host}:{inside.port}/")).status == 200


async def test_many_calls_ask_for_a_name_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening("127.0.0.1") as inside, client("127.0.0.1") as made:
        asked = resolving(monkeypatch, ["127.0.0.1"])
        calls = [made.get(f"http://busy.example:{inside.port}/") for _ in range(20)]
        assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
        assert asked == ["busy.example"]


@pytest.mark.parametrize(
    "failing", [socket.gaierror(-2, "Name or service not known"), OSError(), UnicodeError()]
)
async def test_a_name_that_cannot_be_resolved(
    monkeypatch: pytest.MonkeyPatch, failing: Exception
) -> None:
    """It is asked for again with the next call: a resolver recovers."""

    def resolver(fails: bool) -> Callable[..., Any]:
        async def resolve(host: str, port: int, **_: object) -> list[Any]:
            if fails:
                raise failing
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

        return resolve

    loop = asyncio.get_running_loop()
    async with listening("127.0.0.1") as inside, client("127.0.0.1") as made:
        monkeypatch.setattr(loop, "getaddrinfo", resolver(True), raising=False)
        with pytest.raises(CallFailed, match=r"resolved|reached"):
            await made.get(f"http://gone.example:{inside.port}/")
        monkeypatch.setattr(loop, "getaddrinfo", resolver(False), raising=False)
        assert (await made.get(f"http://gone.example:{inside.port}/")).status == 200
