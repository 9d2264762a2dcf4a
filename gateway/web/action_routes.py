"""The routes of actions, what a person does to an order, and of their approvals."""

from typing import NamedTuple

from gateway.domain import actions, features
from gateway.domain.approvals import STATES
from gateway.domain.asking import Action
from gateway.web import apis
from gateway.web.handlers.action_answers import ActionResult
from gateway.web.handlers.actions import ActionHandler
from gateway.web.handlers.approvals import ApprovalHandler, ApprovalList, ApprovalView
from gateway.web.order_routes import AUTH, LOAD, ORDER_ID
from gateway.web.preconditions import VERSION_PATTERN
from gateway.web.routing import Answer, Header, Parameter, Route


class _Text(NamedTuple):
    """What is said of the route of an action."""

    operation: str
    summary: str
    description: str


_TWO_PEOPLE = "Takes two people: the answer is 202 with an `approval`, until a second approves."
_ABOVE = "Above `approval_above` it takes two people: the answer is 202 with an `approval`."
_TEXTS: dict[Action, _Text] = {
    "ship": _Text(
        "shipOrder",
        "Ship a parcel of an order",
        "An order is `shipped` with its first parcel. The same carrier and tracking number are the "
        "same parcel. Undone by `cancel-parcel`.",
    ),
    "deliver": _Text(
        "deliverOrder",
        "Tell that a parcel, or the whole order, was delivered",
        "An order is `completed` when all parcels have arrived, or when the whole was delivered.",
    ),
    "close": _Text(
        "closeOrder",
        "Cancel an order",
        "Unpaid, it is `closed`; paid, `cancelling` until the money went back. Undone by `reopen`.",
    ),
    "reopen": _Text(
        "reopenOrder",
        "Take back that an order was closed",
        "It is as far again as its money and parcels are. Not after the money went back. An order "
        "that is reopened does not time out again.",
    ),
    "cancel-parcel": _Text(
        "cancelParcel",
        "Take back that a parcel left",
        "Not after it arrived. Without another parcel the order is `paid` again, and handed on "
        "again. Undone by `ship`.",
    ),
    "refund": _Text(
        "recordRefund",
        "Record a refund that was made another way",
        "Not more than is left of the payment. No money is moved: refunds that the provider makes "
        f"it tells itself. {_ABOVE}",
    ),
    "hold": _Text(
        "holdOrder",
        "Hold an order",
        "It is neither handed off nor shipped while its hold is `by_person`. Undone by `release`.",
    ),
    "release": _Text(
        "releaseOrder",
        "Release a held order",
        "Ends the hold that the order was placed with (`lookalike`, `suspected_brushing`, "
        "`screened`), and that of a person. Holds for money end when the money is right. "
        f"{_ABOVE} Undone by `hold`.",
    ),
    "make-up-payment": _Text(
        "makeUpPayment",
        "Record a payment that its provider never told of",
        "Not more than is due. What the provider tells later of the same transaction is a repeat. "
        f"Undone by `refund`. {_TWO_PEOPLE}",
    ),
    "amend": _Text(
        "amendOrder",
        "Change the lines and amounts of an order",
        "All of them are given, and must add up. Once it is paid, at the same price. "
        f"{_TWO_PEOPLE}",
    ),
    "address": _Text(
        "changeAddress",
        "Change where an order goes",
        "Before the first parcel left. What is not given stays. The history has both addresses, "
        f"masked unless the key may read them; what the order is handed on to hears "
        f"`order.changed`. {_TWO_PEOPLE}",
    ),
}
_IF_MATCH = Parameter(
    "If-Match",
    "header",
    {"type": "string", "pattern": VERSION_PATTERN},
    "The `version` of the order that it may be done to, in double quotes. Without it any. Ignored "
    "where the order is so already.",
)
_KEY = Parameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "Identifies the request among those of the API key, quoted or not: a repeat has no second "
    "effect, and gets the first answer. Keys do not expire.",
)
_APPROVAL_ID = Parameter(
    "id", "path", {"type": "string", "format": "uuid"}, "The id of the approval."
)
_BODY = ("slow-body", "too-large", "unsupported-media-type", "invalid")
_LOCATION = Header(
    "Location", {"type": "string"}, "Sent for a pending one: the path of its approval."
)
_REPLAYED = Header(
    "Idempotency-Replayed",
    {"type": "string", "const": "true"},
    "Sent for a repeat of its `Idempotency-Key` only.",
)


def all_routes(*, handler: ActionHandler, approvals: ApprovalHandler) -> list[Route]:
    """Return the routes of actions and approvals over these handlers."""
    return [*[_action(action, handler) for action in _TEXTS], *_approvals(approvals)]


def _action(action: Action, handler: ActionHandler) -> Route:
    text = _TEXTS[action]
    return Route(
        method="PATCH" if action == "address" else "POST",
        template=f"/v1/orders/{{id}}/{action}",
        name=f"orders.{action}",
        operation=text.operation,
        tag=apis.ACTIONS,
        feature=features.ORDER_ACTIONS,
        handler=getattr(handler, action.replace("-", "_")),
        role="operate",
        summary=text.summary,
        description=text.description,
        body=actions.KINDS[action].body,
        parameters=[ORDER_ID, _IF_MATCH, _KEY],
        answers=[
            Answer(
                200,
                "It is done, committed in PostgreSQL, and what waited for that was applied; or the "
                "order was so before, and nothing was written.",
                ActionResult,
                headers=[_REPLAYED],
            ),
            Answer(
                202,
                "`pending`: it waits for a second person. `journaled`: PostgreSQL is unavailable; "
                "it is synced in the journal and done as soon as possible, or parked as "
                "`action_refused` where the order does not allow it by then.",
                ActionResult,
                headers=[_LOCATION],
            ),
        ],
        problems=[
            "malformed", *AUTH, "not-found", "not-allowed", "unreadable", "version-changed",
            *_BODY, "key-reused", "parked", "unavailable", *LOAD,
        ],
    )  # fmt: skip


def _approvals(handler: ApprovalHandler) -> list[Route]:
    return [
        Route(
            method="GET",
            template="/v1/approvals",
            name="approvals.list",
            operation="listApprovals",
            tag=apis.ACTIONS,
            feature=features.ORDER_ACTIONS,
            handler=handler.list,
            role="operate",
            summary="List approvals, newest first",
            parameters=[
                Parameter(
                    "state",
                    "query",
                    {"type": "string", "enum": list(STATES)},
                    "Those in this state.",
                ),
                Parameter(
                    "order", "query", {"type": "string", "format": "uuid"}, "Those of this order."
                ),
            ],
            answers=[Answer(200, "The newest 200 of them.", ApprovalList)],
            problems=["malformed", *AUTH, "invalid", "unavailable", *LOAD],
        ),
        Route(
            method="GET",
            template="/v1/approvals/{id}",
            name="approvals.one",
            operation="getApproval",
            tag=apis.ACTIONS,
            feature=features.ORDER_ACTIONS,
            handler=handler.one,
            role="operate",
            summary="Read an approval",
            parameters=[_APPROVAL_ID],
            answers=[Answer(200, "The approval, with what is asked for.", ApprovalView)],
            problems=["malformed", *AUTH, "not-found", "unavailable", *LOAD],
        ),
        Route(
            method="POST",
            template="/v1/approvals/{id}/approve",
            name="approvals.approve",
            operation="approveAction",
            tag=apis.ACTIONS,
            feature=features.ORDER_ACTIONS,
            handler=handler.approve,
            role="operate",
            summary="Approve what another person asked for, and do it",
            description="By a key of another name than that of who asked. The order may have moved "
            "meanwhile: then nothing is done, and the approval has failed.",
            body=actions.Why,
            parameters=[_APPROVAL_ID],
            answers=[
                Answer(200, "Its action is done, committed in PostgreSQL.", ActionResult),
                Answer(202, "PostgreSQL is unavailable: its action is journaled.", ActionResult),
            ],
            problems=[
                "malformed", *AUTH, "not-found", "not-allowed", "unreadable", "version-changed",
                *_BODY, "parked", "unavailable", *LOAD,
            ],
        ),
        Route(
            method="POST",
            template="/v1/approvals/{id}/reject",
            name="approvals.reject",
            operation="rejectAction",
            tag=apis.ACTIONS,
            feature=features.ORDER_ACTIONS,
            handler=handler.reject,
            role="operate",
            summary="Reject what another person asked for",
            body=actions.Why,
            parameters=[_APPROVAL_ID],
            answers=[Answer(200, "Nothing is done.", ApprovalView)],
            problems=[
                "malformed", *AUTH, "not-found", "not-allowed", *_BODY, "unavailable", *LOAD,
            ],
        ),
    ]  # fmt: skip
