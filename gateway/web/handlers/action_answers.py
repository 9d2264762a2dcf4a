"""What actions are answered: what became of them, of their approval, or why they were refused."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.domain.approvals import Approval
from gateway.domain.asking import Asked
from gateway.domain.following import Done
from gateway.domain.orders import Hold, Status
from gateway.domain.views import StoredOrder
from gateway.web.handlers.orders import OrderResult
from gateway.web.problems import Answered, problem
from gateway.web.response import JSON, Response

_encode = msgspec.json.Encoder().encode

Outcome = Literal["applied", "journaled", "pending"]


class ActionResult(OrderResult, frozen=True, kw_only=True):
    """State of the order after an action, and what became of the action."""

    outcome: Annotated[
        Outcome,
        Meta(
            description="`applied`: committed; `journaled`: synced in the journal, and the order "
            "is shown as it was before; `pending`: nothing is done until a second person approves."
        ),
    ]
    approval: Annotated[
        str | None,
        Meta(description="The approval that it waits for.", extra_json_schema={"format": "uuid"}),
    ] = None


def answer(order: StoredOrder, done: Done, *, is_keyed: bool) -> Response:
    """Return the answer to an action that was not refused.

    ``order`` is as it was read before: while PostgreSQL is unavailable nothing newer is known.
    """
    is_journaled = done.outcome == "journaled" or done.status is None
    if done.status is None:
        state = (order.status, order.version, order.hold)
    else:
        state = (done.status, done.version, done.hold)
    result = ActionResult(
        order.id,
        order.channel,
        order.order_no,
        *state,
        outcome="journaled" if is_journaled else "applied",
    )
    is_replayed = is_keyed and done.outcome == "repeat"
    head = "Idempotency-Replayed: true\r\n" if is_replayed else ""
    return Response(202 if is_journaled else 200, _encode(result), JSON, head)


def pending(order: StoredOrder, tried: Done, approval: Approval) -> Response:
    """Return 202 with an approval that waits; ``tried``: the action, tried on the order."""
    assert tried.status is not None, "it was tried on the order as it is"
    return _of_approval(order, (tried.status, tried.version, tried.hold), "pending", approval)


def asked_before(order: StoredOrder, approval: Approval, asked: Asked, now: datetime) -> Response:
    """Return what became of what was asked under the same key. Raises ``Answered`` for another."""
    if approval.digest != asked.digest:
        raise key_reused()
    state = approval.state_at(now)
    if state in ("failed", "rejected", "expired"):
        context: dict[str, object] = {"approval": str(approval.id)}
        raise Answered(problem("not-allowed", f"the approval is {state}", context=context))
    outcome: Outcome = "applied" if state == "applied" else "pending"
    return _of_approval(order, (order.status, order.version, order.hold), outcome, approval)


def _of_approval(
    order: StoredOrder, state: tuple[Status, int, Hold | None], outcome: Outcome, approval: Approval
) -> Response:
    result = ActionResult(
        order.id,
        order.channel,
        order.order_no,
        *state,
        outcome=outcome,
        approval=str(approval.id),
    )
    head = f"Location: /v1/approvals/{approval.id}\r\n"
    if outcome == "applied":
        return Response(200, _encode(result), JSON, f"{head}Idempotency-Replayed: true\r\n")
    return Response(202, _encode(result), JSON, head)


def key_reused() -> Answered:
    """Return the answer to a key that was used for something else."""
    return Answered(problem("key-reused", "the Idempotency-Key was used for something else"))


def refused(done: Done) -> Response:
    """Return the problem of an action that was refused."""
    refusal = done.refusal
    assert refusal is not None
    context: dict[str, object] = {
        "id": str(done.order_id),
        "status": done.status,
        "version": done.version,
        "hold": done.hold,
    }
    match refusal.kind:
        case "version_changed":
            return problem("version-changed", refusal.detail, context=context)
        case "key_reused":
            return problem("key-reused", refusal.detail, context={"id": str(done.order_id)})
        case "unreadable":
            return problem("unreadable", refusal.detail, context=context)
        case "unknown":
            return problem("not-found", refusal.detail)
        case _:
            context["allowed"] = refusal.allowed
            return problem("not-allowed", refusal.detail, context=context)
