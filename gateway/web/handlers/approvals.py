"""/v1/approvals: what waits for a second person, and their word."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from gateway.domain import actions, addresses
from gateway.domain.approvals import STATES, Approval, State
from gateway.domain.asking import Action, Asked
from gateway.domain.errors import Fault
from gateway.domain.following import FollowUp
from gateway.domain.views import At
from gateway.runtime.clock import Clock
from gateway.runtime.live import Limits, Live
from gateway.stores.postgres.approvals import ApprovalStore, NotDecided
from gateway.web import json_body
from gateway.web.handlers import action_answers
from gateway.web.handlers import actions as action_handlers
from gateway.web.handlers.actions import ActionHandler
from gateway.web.handlers.queries import principal_of
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

_BYTES_MAX = 4096
_PARAMETERS = frozenset({"state", "order"})

_encode = msgspec.json.Encoder().encode
_decode_why = msgspec.json.Decoder(actions.Why).decode


class ApprovalView(Struct, frozen=True):
    """An action that waits for a second person, or was decided."""

    id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    action: Action
    order_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    channel: str
    order_no: str
    state: Annotated[
        State,
        Meta(
            description="`approved`: its action is being done; `failed`: it was not possible any "
            "more, as `decision_reason` says."
        ),
    ]
    request: Annotated[
        dict[str, Any] | None,
        Meta(
            description="What is asked for; of an address, private fields masked unless the key "
            "may read them. Null where it cannot be opened."
        ),
    ]
    version: Annotated[int | None, Meta(description="The version that the order must have.")]
    reason: str
    requested_by: str
    requested_at: At
    expires_at: At
    decided_by: str | None
    decided_at: At | None
    decision_reason: str | None


class ApprovalList(Struct, frozen=True):
    """Approvals, newest first, 200 at most."""

    approvals: list[ApprovalView]


class ApprovalHandler:
    """Handles approvals. An approved action goes the one way in, and is judged anew."""

    def __init__(
        self, *, actions: ActionHandler, store: ApprovalStore, clock: Clock, limits: Live[Limits]
    ) -> None:
        self._actions = actions
        self._store = store
        self._clock = clock
        self._limits = limits

    async def list(self, request: Request) -> Response:
        """Answer with approvals of the key's channels."""
        principal, faults = principal_of(request), list[Fault]()
        values = request.query(_PARAMETERS, faults)
        state, order_id = _state(values, faults), _order_id(values, faults)
        if faults:
            raise Answered(problem("invalid", faults=faults))
        now = self._clock.now()
        found = await self._store.listed(
            principal.visible(), now=now, order_id=order_id, state=state
        )
        in_clear = principal.may("query_pii")
        shown = [view(each, now, in_clear=in_clear) for each in found]
        return Response(200, _encode(ApprovalList(shown)))

    async def one(self, request: Request) -> Response:
        """Answer with one approval."""
        principal, now = principal_of(request), self._clock.now()
        found = await self._store.listed(principal.visible(), now=now, id_=_id(request))
        if not found:
            raise Answered(_missing())
        return Response(200, _encode(view(found[0], now, in_clear=principal.may("query_pii"))))

    async def approve(self, request: Request) -> Response:
        """Answer 200 once the action of another person was done, 202 where it was journaled.

        409 where the order moved meanwhile: the approval has failed then, and says why. Repeated,
        it is answered with the same result.
        """
        approval = await self._decide(request, is_approving=True)
        try:
            follow_up, order = await self._planned(approval, request)
            done = await self._actions.accept(follow_up)
        except Answered as exc:
            # Where only a server did not answer, it may be approved again.
            if exc.response.status < 500:
                await self._store.end(approval.id, "failed", _detail(exc.response))
            raise
        if done.status is not None:
            await self._store.end(approval.id, "applied")
        return action_answers.answer(order, done, is_keyed=False)

    async def reject(self, request: Request) -> Response:
        """Answer 200 once the approval is rejected: nothing is done."""
        approval = await self._decide(request, is_approving=False)
        in_clear = principal_of(request).may("query_pii")
        return Response(200, _encode(view(approval, self._clock.now(), in_clear=in_clear)))

    async def _decide(self, request: Request, *, is_approving: bool) -> Approval:
        principal, id_ = principal_of(request), _id(request)
        require_json(request)
        limits = self._limits.now
        body = await read_body(request, bytes_max=_BYTES_MAX, body_s=limits.body_s)
        wanted = json_body.decode(_decode_why, body, actions.Why)
        reason = action_handlers.checked_reason(wanted)
        try:
            approval = await self._store.decide(
                id_,
                principal.visible(),
                is_approving=is_approving,
                actor=action_handlers.actor(principal),
                reason=reason,
                now=self._clock.now(),
            )
        except NotDecided as exc:
            kind = "forbidden" if exc.is_own else "not-allowed"
            raise Answered(problem(kind, str(exc), context={"approval": str(id_)})) from None
        if approval is None:
            raise Answered(_missing())
        return approval

    async def _planned(self, approval: Approval, request: Request) -> tuple[FollowUp, Any]:
        """Return the event of an approved action, made anew. Raises ``Answered``."""
        principal, now = principal_of(request), self._clock.now()
        if approval.body is None:
            detail = "what was asked for cannot be opened"
            raise Answered(problem("unreadable", detail, context={"id": str(approval.order_id)}))
        order, details = await self._actions.found(approval.order_id, principal)
        wanted = actions.KINDS[approval.action].decode(approval.body)
        planned, reason = action_handlers.plan(approval.action, wanted, order, details, now)
        asked = Asked(
            action=approval.action,
            order_id=approval.order_id,
            actor=approval.requested_by,
            reason=reason,
            digest=approval.digest,
            version=approval.version,
            approved_by=approval.decided_by,
        )
        follow_up = self._actions.follow_up(
            order, planned, asked, principal, now, approval.body, f"approval {approval.id}"
        )
        return follow_up, order


def view(approval: Approval, now: datetime, *, in_clear: bool) -> ApprovalView:
    """Return what may be shown of an approval."""
    body: dict[str, Any] | None = None
    if approval.body is not None:
        body = msgspec.json.decode(approval.body)
        if approval.action == "address" and not in_clear:
            body = {
                name: text if name == "reason" else addresses.masked(name, text)
                for name, text in body.items()
            }
    return ApprovalView(
        id=str(approval.id),
        action=approval.action,
        order_id=str(approval.order_id),
        channel=approval.channel,
        order_no=approval.order_no,
        state=approval.state_at(now),
        request=body,
        version=approval.version,
        reason=approval.reason,
        requested_by=approval.requested_by,
        requested_at=approval.requested_at,
        expires_at=approval.expires_at,
        decided_by=approval.decided_by,
        decided_at=approval.decided_at,
        decision_reason=approval.decision_reason,
    )


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_values[0])
    except ValueError:
        raise Answered(_missing()) from None


def _missing() -> Response:
    return problem("not-found", "no approval of the key's channels has this id")


def _state(values: dict[str, str], faults: list[Fault]) -> State | None:
    state = values.get("state")
    found = next((each for each in STATES if each == state), None)
    if state is not None and found is None:
        faults.append(Fault("state", f"must be one of {', '.join(STATES)}"))
    return found


def _order_id(values: dict[str, str], faults: list[Fault]) -> UUID | None:
    try:
        return UUID(values["order"]) if "order" in values else None
    except ValueError:
        faults.append(Fault("order", "must be the id of an order"))
        return None


def _detail(response: Response) -> str:
    detail: str = msgspec.json.decode(response.body).get("detail", "")
    return detail[:256]
