"""Looks host names up, one look-up per name at a time, however many connections wait for it.

The resolver works on a few threads that all names share: a name whose server does not answer takes
one of them and not all.
"""

import asyncio
import socket

from gateway.clients.call_failures import CallFailed, of_connecting

#: Seconds a result is used for. The addresses are checked at each connection all the same.
_KEPT_S = 5.0
_NAMES_MAX = 256


class NameLookup:
    """The addresses of names, in the sequence that the system prefers."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a name, at least one. Raises ``CallFailed``."""
        task = self._tasks.get(host)
        if task is None:
            loop = asyncio.get_running_loop()
            while len(self._tasks) >= _NAMES_MAX:
                del self._tasks[next(iter(self._tasks))]
            task = loop.create_task(_look_up(host), name="look up a host name")
            self._tasks[host] = task
            task.add_done_callback(lambda done: self._keep(host, done))
        # A caller that leaves does not end the look-up for the others that wait.
        await asyncio.wait({task})
        if task.cancelled():
            raise CallFailed("the look-up of the host name was abandoned")
        return task.result()

    async def close(self) -> None:
        """Abandon the running look-ups."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep(self, host: str, task: asyncio.Task[list[str]]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._forget(host, task)
        else:
            asyncio.get_running_loop().call_later(_KEPT_S, self._forget, host, task)

    def _forget(self, host: str, task: asyncio.Task[list[str]]) -> None:
        if self._tasks.get(host) is task:
            del self._tasks[host]


async def _look_up(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, 0, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except OSError as exc:
        raise of_connecting(exc) from exc
    except UnicodeError as exc:
        raise CallFailed("the host name cannot be resolved") from exc
    # A name may have an address several times.
    return list(dict.fromkeys(str(where[0]) for *_, where in found))
