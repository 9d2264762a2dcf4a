"""POST /v1/orders/{id}/release: end the hold that an order was placed with."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from gateway.domain import releases
from gateway.domain.errors import Fault
from gateway.domain.events import Released
from gateway.domain.following import Done, FollowUp
from gateway.domain.releases import Release
from gateway.domain.views import StoredOrder
from gateway.intake.accept import Intake
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.order_reader import OrderReader
from gateway.web import json_body
from gateway.web.handlers.order_lookup import Journal, not_found, order_id
from gateway.web.handlers.orders import OrderResult
from gateway.web.handlers.queries import principal_of
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

BYTES_MAX = 4096

_encode = msgspec.json.Encoder().encode


class ReleaseHandler:
    """Handles releases, through the one way in: each is an event of its order."""

    def __init__(
        self,
        *,
        intake: Intake,
        reader: OrderReader,
        journal: Journal | None,
        clock: Clock,
        new_id: Callable[[], UUID],
        limits: Live[Limits],
    ) -> None:
        self._intake = intake
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._limits = limits

    async def release(self, request: Request) -> Response:
        """Answer 200 once the hold of the placement has ended, also where it had before.

        202 while PostgreSQL is unavailable: the release is journaled, and the hold still stands.
        An order is released once: what waited for that is applied. Holds of another kind stay.
        """
        principal = principal_of(request)
        require_json(request)
        body = await read_body(request, bytes_max=BYTES_MAX, body_s=self._limits.now.body_s)
        wanted = json_body.decode(releases.decode, body, Release)
        if not wanted.reason.isprintable() or not wanted.reason.strip():
            fault = Fault("reason", "must have printable characters, and not blanks alone")
            raise Answered(problem("invalid", faults=[fault]))
        id_ = order_id(request)
        found = await self._reader.order(id_, principal.visible(), principal.visible_is_test())
        if found is None:
            raise Answered(await not_found(id_, self._journal))
        order, now = found.value[0], self._clock.now()
        done = await self._intake.accept_event(
            FollowUp(
                id=self._new_id(),
                source="release",
                source_key=order.id,
                provider="",
                channels=(order.channel,),
                event=Released(order.order_no, wanted.reason, now),
                trigger=f"key:{principal.key_id}",
                received_at=now,
                is_test=order.is_test,
            )
        )
        return response(order, done)


def response(order: StoredOrder, done: Done) -> Response:
    """Return the answer to a release: 200 once it is committed, 202 while it is only journaled.

    ``order`` is as it was read before: a repeat may be recognised without another look at it.
    """
    if done.status is None:
        state = (order.status, order.version, order.hold)
    else:
        state = (done.status, done.version, done.hold)
    result = OrderResult(order.id, order.channel, order.order_no, *state)
    return Response(202 if done.outcome == "journaled" else 200, _encode(result))
