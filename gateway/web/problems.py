"""Errors as people and programs can read them: problem+json (RFC 9457)."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from gateway.domain.errors import Fault
from gateway.web.response import PROBLEM, Response


class FieldError(Struct, frozen=True):
    """One wrong field: where, and why."""

    field: Annotated[str, Meta(examples=["recipient.phone"])]
    reason: Annotated[str, Meta(examples=["is not a telephone number of CN"])]


class Problem(Struct, frozen=True, omit_defaults=True):
    """Body of every answer from 400 on. ``type`` is a short name from a closed list."""

    type: Annotated[str, Meta(examples=["/problems/invalid"])]
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []
    #: What stands in the way, where something does: both sides of a conflict, a parked id.
    context: dict[str, Any] = field(default_factory=dict)


#: The closed list: name -> (status, title).
KINDS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request can not be read"),
    "unauthorised": (401, "A valid API key is required"),
    "forbidden": (403, "The key may not do this"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This path does not take that method"),
    "slow-body": (408, "The body did not arrive in time"),
    "conflict": (409, "The order number is taken by another order"),
    "version-changed": (412, "The order has another version by now"),
    "out-of-stock": (409, "Something in the order can not be had"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body is of a kind that is not taken here"),
    "misdirected": (421, "This process does not serve that path"),
    "invalid": (422, "The content is not right"),
    "key-reused": (422, "The Idempotency-Key was used for another order"),
    "parked": (422, "This can not be stored; it was set aside for a person"),
    "quota-exceeded": (429, "More requests than the quota allows"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "Not now; please send it again"),
    "overloaded": (503, "Too much at once; please send it again later"),
}

_encode = msgspec.json.Encoder().encode


def problem(
    kind: str,
    detail: str = "",
    *,
    faults: Sequence[Fault] = (),
    context: dict[str, Any] | None = None,
    head: str = "",
) -> Response:
    """Make the reply of one kind of problem."""
    status, title = KINDS[kind]
    errors = [FieldError(fault.field, fault.reason) for fault in faults]
    body = Problem(f"/problems/{kind}", title, status, detail, errors, context or {})
    return Response(status, _encode(body), PROBLEM, head)


def plain(status: int) -> Response:
    """Make the reply for a request that was not even HTTP as we take it."""
    phrase = HTTPStatus(status).phrase
    return Response(status, _encode(Problem("/problems/malformed", phrase, status)), PROBLEM)


class Answered(Exception):
    """Ends a request with a reply from wherever it was found out."""

    def __init__(self, reply: Response) -> None:
        super().__init__(reply.status)
        self.reply = reply
