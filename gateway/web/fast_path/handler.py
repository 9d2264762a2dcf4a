"""The fast path: a submission that was received whole, from its bytes to a batch in one call.

aiohttp makes a request, a stream, a task and two futures for each message, which costs more than
to read, check and queue an order. Here a plain submission is answered from the bytes that were
received, by the same handler; see ``ops/decisions/0011-fast-path.md``. Whatever is not plain
takes the regular path.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from msgspec import Struct

from gateway.overload.concurrency import Slot
from gateway.runtime import request_ids
from gateway.runtime.live import Limits, Live
from gateway.web import metrics
from gateway.web.authentication import Authenticator
from gateway.web.fast_path.parser import SubmissionParser
from gateway.web.handlers.orders import OrderHandler, PendingOrder
from gateway.web.problems import named
from gateway.web.response import Response

_ROUTE = "orders.submit"


class Connection(Protocol):
    """The connection of a submission, which sends its response."""

    def respond(self, response: Response, *, closes: bool, request_id: str) -> None:
        """Send the response if the client is still there; ``closes``: then end the connection."""
        ...


class RequestAccounting(Protocol):
    """What the dispatcher does for the requests of both paths."""

    def count(self, route: str, response: Response, began_s: float) -> None:
        """Count a response in the metrics; ``began_s``: when its request was decided about."""
        ...

    def error_response(self, exc: BaseException, route: str) -> Response:
        """Return the response to a request that ended with an error."""
        ...


class _Taken(Struct, frozen=True, gc=False):
    """A submission that was taken: who waits for its response, and what is recorded of it."""

    connection: Connection
    began_s: float
    request_id: str
    closes: bool


class FastPath:
    """Handles plain submissions whose API key is cached.

    Invariant: each submission that was taken is answered exactly once, whatever fails.
    """

    def __init__(
        self,
        *,
        orders: OrderHandler,
        authenticator: Authenticator,
        accounting: RequestAccounting,
        new_request_id: Callable[[], str],
        limits: Live[Limits],
    ) -> None:
        """Longer submissions than the limit for orders take the regular path."""
        self._orders = orders
        self._authenticator = authenticator
        self._accounting = accounting
        self._new_request_id = new_request_id
        self._parser = SubmissionParser(limits=limits)
        self._finishing: set[asyncio.Future[Response]] = set()
        # When this loop iteration began to take submissions, in monotonic seconds.
        self._iteration_s: float | None = None

    def take(self, data: bytes, slot: Slot, connection: Connection) -> bool:
        """Handle ``data`` if it is one whole submission; ``connection`` responds later or now.

        The slot is left. False: it takes the regular path, and nothing was done.
        """
        submission = self._parser.read(data)
        if submission is None:
            return False
        principal = self._authenticator.cached(submission.head.authorization, "ingest")
        if principal is None:
            return False
        slot.given_s = began_s = self._ready_s(slot.given_s)
        request = _Taken(
            connection, began_s, submission.request_id or self._new_request_id(),
            submission.head.closes,
        )  # fmt: skip
        try:
            self._authenticator.apply_rate_limit(principal)
            pending = self._orders.begin(principal, submission.body, submission.idempotency_key)
        except Exception as exc:
            self._respond(request, self._error_response(request, exc))
            return True
        finally:
            slot.leave()
        if pending.future is None:
            self._finish(pending, request)
        else:
            pending.future.add_done_callback(partial(self._on_done, pending, request))
        return True

    def _ready_s(self, now_s: float) -> float:
        """Return since when a submission waits: all of one loop iteration were ready at its start.

        Taken one after the other, they would all seem to have just been received.
        """
        if self._iteration_s is None:
            self._iteration_s = now_s
            asyncio.get_running_loop().call_soon(self._end_iteration)
        return self._iteration_s

    def _end_iteration(self) -> None:
        self._iteration_s = None

    def _on_done(self, pending: PendingOrder, request: "_Taken", _: object) -> None:
        try:
            response = self._orders.end(pending)
        except (Exception, asyncio.CancelledError) as exc:
            response = self._error_response(request, exc)
        if response is None:
            self._finish(pending, request)
        else:
            self._respond(request, response)

    def _finish(self, pending: PendingOrder, request: "_Taken") -> None:
        with request_ids.naming(request.request_id):
            task = asyncio.ensure_future(self._orders.finish(pending))
        self._finishing.add(task)
        task.add_done_callback(partial(self._on_finished, request))

    def _on_finished(self, request: "_Taken", task: "asyncio.Future[Response]") -> None:
        self._finishing.discard(task)
        try:
            response = task.result()
        except (Exception, asyncio.CancelledError) as exc:
            response = self._error_response(request, exc)
        self._respond(request, response)

    def _error_response(self, request: "_Taken", exc: BaseException) -> Response:
        # The log lines of a request are few: to name each request beforehand would cost all.
        with request_ids.naming(request.request_id):
            return self._accounting.error_response(exc, _ROUTE)

    def _respond(self, request: "_Taken", response: Response) -> None:
        metrics.FAST_PATH.count += 1
        try:
            self._accounting.count(_ROUTE, response, request.began_s)
            response = named(response, request.request_id)
        finally:
            # Whatever fails: nothing else would ever answer it.
            request.connection.respond(
                response, closes=request.closes, request_id=request.request_id
            )
