"""POST /v1/orders/{id}/ship and the like: what a person does to an order."""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

import msgspec

from gateway.domain import actions, approvals
from gateway.domain.access import Principal
from gateway.domain.actions import Planned, Wanted
from gateway.domain.approvals import Approval
from gateway.domain.asking import Action, Asked
from gateway.domain.errors import Invalid, Poisoned
from gateway.domain.following import Done, FollowUp
from gateway.domain.order_details import StoredDetails
from gateway.domain.views import StoredOrder
from gateway.intake.accept import Intake
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.approvals import ApprovalStore
from gateway.stores.postgres.order_reader import OrderReader
from gateway.web import json_body, preconditions
from gateway.web.handlers import action_answers
from gateway.web.handlers.order_lookup import Journal, not_found, order_id
from gateway.web.handlers.queries import principal_of
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

#: An address of the maximum length, with every character escaped, takes 10 KiB; an amendment may
#: have 200 lines with long names.
_BYTES_MAX = 16 * 1024
_LINES_BYTES_MAX = 256 * 1024

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


class ActionHandler:
    """Handles actions, through the one way in: each is an event of its order."""

    def __init__(
        self,
        *,
        intake: Intake,
        reader: OrderReader,
        approvals: ApprovalStore,
        journal: Journal | None,
        clock: Clock,
        new_id: Callable[[], UUID],
        limits: Live[Limits],
    ) -> None:
        self._intake = intake
        self._reader = reader
        self._approvals = approvals
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._limits = limits

    async def ship(self, request: Request) -> Response:
        """A parcel left."""
        return await self._perform(request, "ship")

    async def deliver(self, request: Request) -> Response:
        """A parcel, or the order, arrived."""
        return await self._perform(request, "deliver")

    async def close(self, request: Request) -> Response:
        """The order is cancelled."""
        return await self._perform(request, "close")

    async def reopen(self, request: Request) -> Response:
        """That it was closed is taken back."""
        return await self._perform(request, "reopen")

    async def cancel_parcel(self, request: Request) -> Response:
        """That a parcel left is taken back."""
        return await self._perform(request, "cancel-parcel")

    async def refund(self, request: Request) -> Response:
        """Money went back another way."""
        return await self._perform(request, "refund")

    async def hold(self, request: Request) -> Response:
        """A person holds it."""
        return await self._perform(request, "hold")

    async def release(self, request: Request) -> Response:
        """A hold ends."""
        return await self._perform(request, "release")

    async def make_up_payment(self, request: Request) -> Response:
        """A payment was never told."""
        return await self._perform(request, "make-up-payment")

    async def amend(self, request: Request) -> Response:
        """It has other lines or amounts."""
        return await self._perform(request, "amend")

    async def address(self, request: Request) -> Response:
        """It goes elsewhere."""
        return await self._perform(request, "address")

    async def _perform(self, request: Request, action: Action) -> Response:
        """Answer 200 once the order is so, also where it was before.

        202 while PostgreSQL is unavailable, and where a second person must approve. Raises
        ``Answered`` with 409 where the order, as it is, does not allow it.
        """
        principal, id_ = principal_of(request), order_id(request)
        require_json(request)
        key = preconditions.idempotency_key(request.header("Idempotency-Key"))
        version = preconditions.version(request)
        limits = self._limits.now
        bytes_max = _LINES_BYTES_MAX if action == "amend" else _BYTES_MAX
        body = await read_body(request, bytes_max=bytes_max, body_s=limits.body_s)
        kind = actions.KINDS[action]
        wanted: Wanted = json_body.decode(kind.decode, body, kind.body)
        order, details = await self.found(id_, principal)
        now = self._clock.now()
        planned, reason = plan(action, wanted, order, details, now)
        asked = Asked(
            action=action,
            order_id=UUID(order.id),
            actor=actor(principal),
            reason=reason,
            digest=_digest(action, order.id, wanted),
            version=version,
        )
        request_key = None if key is None else f"{principal.key_id} {key}"
        follow_up = self.follow_up(order, planned, asked, principal, now, body, request_key)
        above = approvals.limits(limits.approval_above)
        if approvals.is_needed(action, amount=planned.amount, currency=order.currency, above=above):
            return await self._ask(order, follow_up, asked, request_key, now)
        done = await self.accept(follow_up)
        return action_answers.answer(order, done, is_keyed=key is not None)

    async def found(self, id_: UUID, principal: Principal) -> tuple[StoredOrder, StoredDetails]:
        """Return an order of the key's channels. Raises ``Answered`` with 404."""
        found = await self._reader.order(id_, principal.visible(), principal.visible_is_test())
        if found is None:
            raise Answered(await not_found(id_, self._journal))
        order, details = found.value
        return order, details

    async def accept(self, follow_up: FollowUp) -> Done:
        """Apply an action, or journal it. Raises ``Answered`` where it was refused."""
        try:
            done = await self._intake.accept_event(follow_up)
        except Poisoned as exc:
            raise Answered(
                problem("parked", exc.reason, context={"parked": exc.parked_id})
            ) from exc
        if done.refusal is not None:
            raise Answered(action_answers.refused(done))
        return done

    def follow_up(
        self,
        order: StoredOrder,
        planned: Planned,
        asked: Asked,
        principal: Principal,
        now: datetime,
        body: bytes,
        key: str | None,
    ) -> FollowUp:
        """Return the event of an action; ``key`` identifies it, where it is not itself alone."""
        id_ = self._new_id()
        return FollowUp(
            id=id_,
            source=planned.source,
            source_key=key or str(id_),
            provider=planned.provider,
            channels=(order.channel,),
            event=planned.event,
            trigger=f"key:{principal.key_id}",
            received_at=now,
            raw=body,
            is_test=order.is_test,
            asked=asked,
        )

    async def _ask(
        self,
        order: StoredOrder,
        follow_up: FollowUp,
        asked: Asked,
        request_key: str | None,
        now: datetime,
    ) -> Response:
        """Answer 202 with an approval that is pending. Raises ``Answered`` as the action would."""
        before = None if request_key is None else await self._approvals.asked_before(request_key)
        if before is not None:
            return action_answers.asked_before(order, before, asked, now)
        replace = msgspec.structs.replace
        pending = Approval(
            id=self._new_id(),
            action=asked.action,
            order_id=asked.order_id,
            channel=order.channel,
            order_no=order.order_no,
            is_test=order.is_test,
            body=follow_up.raw,
            digest=asked.digest,
            request_key=request_key,
            version=asked.version,
            reason=asked.reason,
            requested_by=asked.actor,
            requested_at=now,
            expires_at=now + timedelta(seconds=self._limits.now.approval_s),
        )
        # Tried under the order's lock: nobody is asked to approve what cannot be done.
        trial = replace(
            follow_up,
            source_key=f"trial {pending.id}",
            raw=None,
            asked=replace(asked, is_trial=True),
        )
        tried = await self.accept(trial)
        if tried.outcome == "repeat":
            return action_answers.answer(order, tried, is_keyed=False)
        stored = await self._approvals.add(pending)
        if stored.digest != asked.digest:
            raise action_answers.key_reused()
        return action_answers.pending(order, tried, stored)


def actor(principal: Principal) -> str:
    """Return who acts, as the history says it: the name of the key, and its id."""
    return f"{principal.name} (key {principal.key_id})"


def checked_reason(wanted: Wanted) -> str:
    """Return the reason of an action, with its evidence. Raises ``Answered`` with 422."""
    try:
        return actions.why(wanted)
    except Invalid as exc:
        raise Answered(problem("invalid", faults=exc.faults)) from None


def plan(
    action: Action, wanted: Wanted, order: StoredOrder, details: StoredDetails, now: datetime
) -> tuple[Planned, str]:
    """Return the event of an action, and its reason. Raises ``Answered`` with 422."""
    reason = checked_reason(wanted)
    try:
        return actions.KINDS[action].plan(wanted, order, details, now), reason
    except Invalid as exc:
        raise Answered(problem("invalid", faults=exc.faults)) from None


def _digest(action: Action, id_: str, wanted: Wanted) -> str:
    """Return a digest of what is asked: white space and the order of keys do not count."""
    digest = blake2b(digest_size=16)
    digest.update(f"{action}|{id_}|".encode())
    digest.update(_encode_sorted(wanted))
    return digest.hexdigest()
