"""Connections that are kept: none with a rest on it is used again, none is lost."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.clients import http_pool
from gateway.clients.address_guard import ANYWHERE
from gateway.clients.http_client import Answer, CallFailed, HttpClient
from tests.support.patience import HANG_S, until

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_Serve = Callable[["Peer", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server by script; counts connections, those that are open, and requests."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.open = 0
        self.requests: list[bytes] = []

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        return head


@asynccontextmanager
async def peer(serve: _Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    made = Peer()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        made.open += 1
        try:
            await serve(made, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            made.open -= 1
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    made.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    yield made
    server.close()


@asynccontextmanager
async def client(
    *, call_s: float = HANG_S, connections_max: int = 4, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpClient]:
    made = HttpClient(
        call_s=call_s,
        answer_bytes_max=1000,
        connections_max=connections_max,
        guard=ANYWHERE,
        is_https_only=False,
        is_reusing=True,
        tls=tls,
    )
    yield made
    await made.close()


async def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    """The server closes after each answer without a word: no call fails for it."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)
        writer.write(_OK)

    async with peer(serve) as server, client() as made:
        for _ in range(5):
            assert await made.get(server.url) == Answer(200, b"ok")
        assert server.connections == 5


async def test_a_kept_connection_that_is_closed_instead_of_an_answer_is_replaced() -> None:
    """The server had the request already: it gets it again, on a connection of its own."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)
        writer.write(_OK)
        await at.request(reader)

    async with peer(serve) as server, client() as made:
        for _ in range(3):
            assert await made.get(server.url) == Answer(200, b"ok")
        assert (server.connections, len(server.requests)) == (3, 5)


async def test_a_new_connection_that_is_closed_instead_of_an_answer_is_a_failure() -> None:
    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)

    async with peer(serve) as server, client() as made:
        with pytest.raises(CallFailed, match="without an answer"):
            await made.get(server.url)
        assert len(server.requests) == 1


async def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    """Neither one behind another, nor one on a connection that is idle."""
    may_say_more = asyncio.Event()

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)
        if at.connections == 1:
            writer.write(_OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake")
        elif at.connections == 2:
            writer.write(_OK)
            await may_say_more.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake")
        else:
            writer.write(_OK)
        await reader.read()

    async with peer(serve) as server, client() as made:
        assert await made.get(server.url) == Answer(200, b"ok")
        assert await made.get(server.url) == Answer(200, b"ok")
        assert server.connections == 2
        may_say_more.set()
        await until(lambda: server.open == 0)
        assert await made.get(server.url) == Answer(200, b"ok")
        assert server.connections == 3


async def test_an_answer_to_a_request_that_was_given_up_is_nobodys() -> None:
    """The connection of a caller that left is closed: its answer comes late."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await at.request(reader)
        if head.startswith(b"GET /slow"):
            await reader.read()
        writer.write(_OK)

    async with peer(serve) as server, client() as made:
        leaving = asyncio.create_task(made.get(server.url + "slow"))
        await until(lambda: len(server.requests) == 1)
        leaving.cancel()
        await until(lambda: server.open == 0)
        assert await made.get(server.url) == Answer(200, b"ok")
        assert server.connections == 2


async def test_no_more_connections_than_allowed_and_all_calls_have_their_turn() -> None:
    open_max = 0

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_max
        while True:
            await at.request(reader)
            open_max = max(open_max, at.open)
            writer.write(_OK)

    async with peer(serve) as server, client(connections_max=3) as made:
        answers = await asyncio.gather(*[made.get(server.url) for _ in range(50)])
        assert {answer.status for answer in answers} == {200}
        assert server.connections == 3 and open_max <= 3


async def test_calls_that_fail_give_their_connection_back() -> None:
    """Time-outs, closed connections and cancelled callers leave room for those after them."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await at.request(reader)
        if head.startswith(b"GET /hang"):
            await reader.read()
        elif head.startswith(b"GET /ok"):
            writer.write(_OK)

    async with peer(serve) as server, client(connections_max=1, call_s=0.2) as made:
        for path in ("hang", "close", "hang"):
            with pytest.raises(CallFailed):
                await made.get(server.url + path)
        assert await made.get(server.url + "ok") == Answer(200, b"ok")
        await until(lambda: server.open == 0)


async def test_closing_the_client_ends_its_calls_and_none_is_repeated() -> None:
    """A call on a kept connection, one on a new one, and one that waits for its turn."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)
        writer.write(_OK)
        while True:
            await at.request(reader)

    async with peer(serve) as server, client(connections_max=2) as made:
        await made.get(server.url)
        waiting = [asyncio.create_task(made.get(server.url)) for _ in range(4)]
        await until(lambda: len(server.requests) >= 3)
        await made.close()
        async with asyncio.timeout(HANG_S):
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        sent = len(server.requests)
        failures = [each for each in ended if isinstance(each, CallFailed)]
        assert len(failures) >= 3 and len(ended) == 4
        with pytest.raises(CallFailed, match="the client is closed"):
            await made.get(server.url)
        await until(lambda: server.open == 0)
        assert len(server.requests) == sent


async def test_a_connection_that_is_old_or_idle_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await at.request(reader)
            writer.write(_OK)

    monkeypatch.setattr(http_pool, "_IDLE_S", 0.05)
    async with peer(serve) as server, client() as made:
        await asyncio.gather(*[made.get(server.url) for _ in range(3)])
        assert server.open >= 1
        await until(lambda: server.open == 0)
    monkeypatch.setattr(http_pool, "_IDLE_S", HANG_S)
    monkeypatch.setattr(http_pool, "_AGE_S", -1.0)
    async with peer(serve) as server, client() as made:
        for _ in range(3):
            await made.get(server.url)
        assert server.connections == 3


async def test_a_slow_trickle_ends_at_the_deadline() -> None:
    """However often something arrives."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not writer.is_closing():
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with peer(serve) as server, client(call_s=0.2) as made:
        with pytest.raises(CallFailed, match="no complete answer within"):
            async with asyncio.timeout(HANG_S):
                await made.get(server.url)
        await until(lambda: server.open == 0)


async def test_an_answer_before_the_request_was_read() -> None:
    """It counts, and the connection with the rest of the request on it is not used again."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)
        writer.write(b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)

    async with peer(serve) as server, client() as made:
        large = b"x" * 50_000_000
        for _ in range(2):
            assert (await made.post(server.url, large)).status == 413
        assert server.connections == 2


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\x00", "á\r"])
async def test_a_header_that_would_break_the_request(value: str) -> None:
    async with client() as made:
        with pytest.raises(ValueError, match="a header is malformed: 'X'"):
            await made.post("http://127.0.0.1:1/", b"", headers={"X": value})


async def test_json(pem: Path) -> None:
    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at.request(reader)
        at.requests.append(await reader.readexactly(9))
        writer.write(_OK)

    async with peer(serve) as server, client() as made:
        await made.post_json(server.url, {"a": "é"})
        assert b"Content-Type: application/json\r\n" in server.requests[0]
        assert server.requests[1] == '{"a":"é"}'.encode()[:9]


async def test_tls(pem: Path) -> None:
    """A name that is not in the certificate, and an authority that is not known, are failures."""

    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await at.request(reader)
            writer.write(_OK)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=str(pem))
    async with peer(serve, context) as server:
        named = server.url.replace("127.0.0.1", "localhost")
        async with client(tls=trusting) as made:
            for _ in range(2):
                assert await made.get(named) == Answer(200, b"ok")
            assert server.connections == 1
            with pytest.raises(CallFailed, match="certificate is not valid: IP address mismatch"):
                await made.get(server.url)
        async with client() as strict:
            with pytest.raises(CallFailed, match="certificate is not valid: self-signed"):
                await strict.get(named)
        assert len(server.requests) == 2


async def test_a_server_that_does_not_speak_tls(pem: Path) -> None:
    async def serve(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def mute(at: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(serve) as server, client() as made:
        with pytest.raises(CallFailed, match="TLS handshake failed"):
            await made.get(server.url.replace("http", "https"))
    async with peer(mute) as server, client(call_s=0.2) as hasty:
        with pytest.raises(CallFailed, match="no complete answer within"):
            await hasty.get(server.url.replace("http", "https"))
        await until(lambda: server.open == 0)
