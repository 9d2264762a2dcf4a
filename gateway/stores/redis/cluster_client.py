"""A client for a Redis Cluster, or for one server that is no cluster.

The library's own cluster client asks the nodes one after the other when it needs a new slot map,
and closes the connections of all when one is down: a frozen node then makes the others
unavailable. Here each node has a client of its own, and the first slot map received is used.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio as redis_asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

#: A client of the library, which has no annotations where they are needed.
Client: TypeAlias = Any
T = TypeVar("T")

#: The host and port of a node.
Address: TypeAlias = tuple[str, int]

FAILURES = (redis.exceptions.RedisError, OSError, asyncio.TimeoutError)


class ClusterClient:
    """The nodes behind ``url``, which are discovered when they are first needed.

    No command is sent twice, except after a redirection (MOVED). A call that is cancelled or
    fails half way closes its connection: no reply is ever taken for another's.
    """

    def __init__(self, *, url: str, call_s: float) -> None:
        self._url = url
        self._call_s = call_s
        self._seed = self._open(url)
        self._owners: list[tuple[range, Address]] = []
        self._clients: dict[Address, Client] = {}
        self._queries: set[asyncio.Task[Any]] = set()
        self._is_stale = True

    async def call(self, key: bytes, *arguments: Any) -> Any:
        """Send one command to the node that has ``key``. Raises one of ``FAILURES``."""
        if self._is_stale:
            await self._refresh_owners()
        try:
            return await self._owner(key).execute_command(*arguments)
        except redis.exceptions.NoScriptError:
            raise
        except redis.exceptions.MovedError as moved:
            self._is_stale = True
            return await self._client((moved.host, moved.port)).execute_command(*arguments)
        except BaseException:
            self._is_stale = True
            raise

    async def call_all(self, key: bytes, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands in one round trip to the node that has ``key``.

        Returns for each its reply, or the error of it as an exception. After a redirection they
        are not sent again: the next calls go to the right node. Raises one of ``FAILURES`` when
        what became of them is not known.
        """
        if self._is_stale:
            await self._refresh_owners()
        try:
            pipeline = self._owner(key).pipeline(transaction=False)
            for each in calls:
                pipeline.execute_command(*each)
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except BaseException:
            self._is_stale = True
            raise
        if any(isinstance(reply, redis.exceptions.MovedError) for reply in replies):
            self._is_stale = True
        return replies

    async def primaries(self) -> dict[str, Client]:
        """Return every node that has slots, by ``host:port``. Raises one of ``FAILURES``."""
        await self._refresh_owners()
        addresses = {address for _, address in self._owners}
        return {f"{host}:{port}": self._client((host, port)) for host, port in addresses}

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*self._queries, return_exceptions=True)
        for client in (self._seed, *self._clients.values()):
            await client.aclose()

    async def _refresh_owners(self) -> None:
        asked = [(self._seed, _address(self._url))]
        asked += [(client, address) for address, client in self._clients.items()]
        self._owners = await self._first_answer(
            _owners(client, address) for client, address in asked
        )
        self._is_stale = False
        named = {address for _, address in self._owners}
        for address in self._clients.keys() - named:
            # Another call may have found the same meanwhile.
            if (client := self._clients.pop(address, None)) is not None:
                await client.aclose()

    async def _first_answer(self, queries: Iterable[Coroutine[Any, Any, T]]) -> T:
        """Return the first answer; raise the last failure when no node answers."""
        tasks = [asyncio.create_task(each) for each in queries]
        self._queries.update(tasks)
        failure: BaseException | None = None
        try:
            for answer in asyncio.as_completed(tasks):
                try:
                    return await answer
                except FAILURES as exc:
                    failure = exc
        finally:
            # Not awaited: the library may miss its cancellation, and ends at its time limit.
            for task in tasks:
                task.add_done_callback(self._forget)
                task.cancel()
        raise failure or redis.exceptions.ClusterError("there is no node to ask")

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._queries.discard(task)
        if not task.cancelled():
            # Retrieved, so that asyncio does not report it.
            task.exception()

    def _owner(self, key: bytes) -> Client:
        slot = key_slot(key)
        for slots, address in self._owners:
            if slot in slots:
                return self._client(address)
        raise redis.exceptions.ClusterError("no node has the slot")

    def _client(self, address: Address) -> Client:
        if address == _address(self._url):
            return self._seed
        if address not in self._clients:
            host, port = address
            parts = urlsplit(self._url)
            login, at, _ = parts.netloc.rpartition("@")
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            url = urlunsplit(parts._replace(netloc=f"{login}{at}{where}"))
            self._clients[address] = self._open(url)
        return self._clients[address]

    def _open(self, url: str) -> Client:
        return redis_asyncio.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=self._call_s,
            socket_connect_timeout=self._call_s,
            retry=Retry(NoBackoff(), 0),
        )


async def _owners(client: Client, address: Address) -> list[tuple[range, Address]]:
    """Ask a node which node has which slots."""
    if not (await client.info("cluster")).get("cluster_enabled"):
        return [(range(REDIS_CLUSTER_HASH_SLOTS), address)]
    rows = await client.execute_command("CLUSTER SLOTS")
    if not rows:
        raise redis.exceptions.ClusterError("the node is in no cluster")
    # A node that does not know its own address reports none.
    return [
        (range(first, last + 1), ((primary[0] or b"").decode() or address[0], primary[1]))
        for first, last, primary, *_ in rows
    ]


def _address(url: str) -> Address:
    parts = urlsplit(url)
    return parts.hostname or parts.path, parts.port or 6379
