"""What the web tests share: orders, raw requests, a manual clock, a connection to cut."""

import asyncio
import contextlib
import copy
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from loadtest.orders import order as distinct_order
from tests.support.patience import HANG_S

#: A header without effect except that the submission takes the regular path.
REGULAR_PATH: Sequence[tuple[str, str]] = (("TE", "trailers"),)

_serial = itertools.count(1)


def order(**changes: Any) -> dict[str, Any]:
    """Return a valid, distinct order with ``changes`` to its fields."""
    return distinct_order(next(_serial), prefix="web", **changes)


def order_bytes(**changes: Any) -> bytes:
    """Return such an order as JSON."""
    return json.dumps(order(**changes)).encode()


def edited(tree: Any, path: Sequence[str | int], value: Any) -> Any:
    """Return a copy of a JSON tree with one value replaced."""
    made = copy.deepcopy(tree)
    at = made
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return made


def without(tree: Any, path: Sequence[str | int]) -> Any:
    """Return a copy of a JSON tree without one value."""
    made = copy.deepcopy(tree)
    at = made
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return made


def with_token(tree: Any, path: Sequence[str | int], token: str) -> bytes:
    """Return the JSON with a bare token in one place; the token need not be valid JSON."""
    return json.dumps(edited(tree, path, "@@")).encode().replace(b'"@@"', token.encode())


@dataclass
class Answer:
    """A response as it was received."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def unnamed(self) -> Any:
        """The JSON without the id of the request, which differs each time."""
        return {name: value for name, value in self.json.items() if name != "request_id"}

    @property
    def is_endless(self) -> bool:
        """Whether it is a stream of events, of which only the first are read."""
        return self.headers.get("content-type") == "text/event-stream"

    @property
    def fields(self) -> list[str]:
        """The fields that a problem document reports as wrong."""
        return [error["field"] for error in self.json.get("errors", [])]


def check(answer: Answer) -> Answer:
    """Fail unless the response is a success, or an error as a problem document (RFC 9457)."""
    assert answer.status < 500 or answer.status == 503, answer
    if answer.status >= 400 and answer.body:
        assert answer.headers["content-type"] == "application/problem+json", answer
        problem = answer.json
        assert problem["type"].startswith("/problems/"), answer
        assert problem["status"] == answer.status, answer
        assert problem["title"], answer
    return answer


@dataclass
class Wire:
    """Sends raw bytes to a gateway and reads the responses."""

    host: str
    port: int
    token: str
    #: Sent with every request.
    always: Sequence[tuple[str, str]] = ()

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
        *,
        version: str = "HTTP/1.1",
        has_length: bool = True,
        has_key: bool = True,
    ) -> bytes:
        """Return the bytes of a request; it closes the connection only if ``headers`` say so."""
        lines = [f"{method} {target} {version}", "Host: gateway"]
        if has_key:
            lines.append(f"Authorization: Bearer {self.token}")
        if body is not None and has_length:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{name}: {value}" for name, value in (*self.always, *headers)]
        head = "\r\n".join([*lines, "", ""])
        return head.encode("latin-1") + (body or b"")

    async def answers(self, sent: bytes, *, is_last: bool = False) -> list[Answer]:
        """Send, and return the responses until the gateway closes; fails if it does not close."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        async with asyncio.timeout(HANG_S):
            writer.write(sent)
            if is_last:
                writer.write_eof()
            received = []
            with contextlib.suppress(ConnectionResetError):
                while (answer := await read_answer(reader, sent[:5] == b"HEAD ")) is not None:
                    received.append(answer)
                    if answer.is_endless:
                        break
        writer.close()
        return received

    async def answer(self, sent: bytes) -> Answer:
        """Send one request that ends its connection, and return its one response, checked."""
        (answer,) = await self.answers(sent)
        return check(answer)

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        **how: Any,
    ) -> Answer:
        """Send one request on a new connection and return the response, checked."""
        listed = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        listed.append(("Connection", "close"))
        return await self.answer(self.request(method, target, body, listed, **how))

    async def submit(
        self, body: bytes, headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), **how: Any
    ) -> Answer:
        """POST an order on a new connection."""
        return await self.ask("POST", "/v1/orders", body, headers, **how)


async def _read_chunks(reader: asyncio.StreamReader, is_endless: bool) -> bytes:
    """Read a chunked body to its end, or until it has its first event."""
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
        if is_endless and b"event:" in body and body.endswith(b"\n\n"):
            return body
    assert await reader.readline() == b"\r\n"
    return body


async def read_answer(reader: asyncio.StreamReader, is_head: bool = False) -> Answer | None:
    """Read one response; None when the connection ended before it."""
    line = await reader.readline()
    if not line:
        return None
    answer = Answer(int(line.split()[1]), {})
    while (line := await reader.readline()) != b"\r\n":
        assert line, "the response ends inside its head"
        name, _, value = line.decode("latin-1").partition(":")
        answer.headers[name.lower()] = value.strip()
    if answer.status not in (100, 304) and not is_head:
        if answer.headers.get("transfer-encoding") == "chunked":
            answer.body = await _read_chunks(reader, answer.is_endless)
        else:
            answer.body = await reader.readexactly(int(answer.headers["content-length"]))
    return answer


@dataclass
class Cable:
    """A TCP proxy between the gateway and a server, whose connections can be cut or stalled."""

    server_port: int
    port: int = 0
    _is_silent: bool = False
    _is_cut: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Reset all connections, and each new one at once, as when a server has died."""
        self._is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def silence(self) -> None:
        """Receive and pass nothing on, as when a server hangs."""
        self._is_silent = True

    def mend(self) -> None:
        """Pass new connections on again."""
        self._is_cut = self._is_silent = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        ends = {writer, their_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._pass(reader, their_writer), self._pass(their_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                if not self._is_silent:
                    writer.write(chunk)
        writer.close()


@asynccontextmanager
async def cable(server_port: int) -> AsyncIterator[Cable]:
    """Open a cable to a port of this machine."""
    laid = Cable(server_port)
    listening = await asyncio.start_server(laid.carry, "127.0.0.1", 0)
    laid.port = listening.sockets[0].getsockname()[1]
    yield laid
    listening.close()
    laid.cut()
