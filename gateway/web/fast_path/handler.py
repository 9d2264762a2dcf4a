"""The short way of a submission that came whole: from its bytes to a batch in one call.

aiohttp makes a request, a stream, a task and two futures of each message, which costs more than to
read, check and queue an order. Here a plain one is answered from the bytes it came as, by the same
handler; see ``ops/decisions/0011-the-short-way.md``. Whatever is not plain goes the long way.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from gateway.domain.access import Principal
from gateway.overload.admission import Slot
from gateway.web import metrics
from gateway.web.authentication import Authenticator
from gateway.web.fast_path.parser import SubmissionParser
from gateway.web.handlers.orders import OrderIntake, PendingOrder
from gateway.web.response import Response

_ROUTE = "orders.submit"

Answer = Callable[[Response], None]


class Connection(Protocol):
    """Where a submission came from, and its answer goes."""

    def answer(self, reply: Response, *, is_last: bool) -> None:
        """Write the answer, if anybody is still there; ``is_last``: and end the connection."""
        ...


class RequestAccounting(Protocol):
    """What the server does for requests of either way."""

    def count_in(self, principal: Principal) -> None:
        """Count a request in its key's quota. Raises ``Answered`` with 429."""
        ...

    def count(self, route: str, status: int) -> None:
        """Count a request by how it was answered."""
        ...

    def explained(self, exc: BaseException, route: str) -> Response:
        """Make the reply to a request that ended with an error."""
        ...


class FastPath:
    """Takes plain submissions of keys that were seen lately."""

    def __init__(
        self,
        *,
        orders: OrderIntake,
        authenticator: Authenticator,
        desk: RequestAccounting,
        bytes_max: int,
    ) -> None:
        self._orders = orders
        self._authenticator = authenticator
        self._desk = desk
        self._heads = SubmissionParser(bytes_max=bytes_max)
        self._finishing: set[asyncio.Future[Response]] = set()
        self._turn_s: float | None = None

    def take(self, data: bytes, slot: Slot, connection: Connection) -> bool:
        """Take the submission that ``data`` is, whole; ``connection`` is told its answer later.

        The slot is given back then. False: it is not for here, and nothing was done.
        """
        submitted = self._heads.read(data)
        if submitted is None:
            return False
        principal = self._authenticator.recall(submitted.said.authorization, "ingest")
        if principal is None:
            return False
        answer = partial(self._answer, connection, submitted.said.is_last)
        slot.given_s = self._began_s(slot.given_s)
        try:
            self._desk.count_in(principal)
            begun = self._orders.begin(principal, submitted)
        except Exception as exc:
            answer(self._desk.explained(exc, _ROUTE))
            return True
        finally:
            slot.leave()
        if begun.future is None:
            self._finish(begun, answer)
        else:
            begun.future.add_done_callback(partial(self._on_done, begun, answer))
        return True

    def _began_s(self, now_s: float) -> float:
        """Return when this turn of the loop began: what is ready in one has waited since then."""
        if self._turn_s is None:
            self._turn_s = now_s
            asyncio.get_running_loop().call_soon(self._end_turn)
        return self._turn_s

    def _end_turn(self) -> None:
        self._turn_s = None

    def _on_done(self, begun: PendingOrder, answer: Answer, _: object) -> None:
        try:
            reply = self._orders.end(begun)
        except (Exception, asyncio.CancelledError) as exc:
            reply = self._desk.explained(exc, _ROUTE)
        if reply is None:
            self._finish(begun, answer)
        else:
            answer(reply)

    def _finish(self, begun: PendingOrder, answer: Answer) -> None:
        task = asyncio.ensure_future(self._orders.finish(begun))
        self._finishing.add(task)
        task.add_done_callback(partial(self._on_finished, answer))

    def _on_finished(self, answer: Answer, task: "asyncio.Future[Response]") -> None:
        self._finishing.discard(task)
        try:
            reply = task.result()
        except (Exception, asyncio.CancelledError) as exc:
            reply = self._desk.explained(exc, _ROUTE)
        answer(reply)

    def _answer(self, connection: Connection, is_last: bool, reply: Response) -> None:
        metrics.SHORT_WAY.inc()
        try:
            self._desk.count(_ROUTE, reply.status)
        finally:
            # Whatever goes wrong: nobody else would ever answer it.
            connection.answer(reply, is_last=is_last)
