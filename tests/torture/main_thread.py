"""An event loop in a thread of its own that delegates some calls to the main thread.

The embedded servers may be started from the main thread only, because they end with the thread that
started them; and the loop must not block while one of them recovers.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
#: Runs a call on the main thread and returns its result.
OnMain = Callable[[Callable[[], Any]], Awaitable[Any]]


def run(work: Callable[[OnMain], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in another thread and its ``OnMain`` calls in this one, until it is done.

    A KeyboardInterrupt cancels it, and is raised again when it has ended.
    """
    calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = Future()
    done: Future[T] = Future()

    async def on_main(call: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()

        def make() -> None:
            try:
                value = call()
            except Exception as exc:
                loop.call_soon_threadsafe(result.set_exception, exc)
            else:
                loop.call_soon_threadsafe(result.set_result, value)

        calls.put(make)
        return await asyncio.shield(result)

    async def begin() -> T:
        task = asyncio.get_running_loop().create_task(work(on_main), name="work")
        started.set_result((asyncio.get_running_loop(), task))
        return await task

    def run_loop() -> None:
        try:
            done.set_result(asyncio.run(begin()))
        except BaseException as exc:
            done.set_exception(exc)
        finally:
            calls.put(None)

    thread = threading.Thread(target=run_loop, name="loop")
    thread.start()
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            call = calls.get()
            if call is None:
                break
            call()
        except KeyboardInterrupt as exc:
            interrupt = exc
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
    thread.join()
    if interrupt is not None:
        raise interrupt
    return done.result()
