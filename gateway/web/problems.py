"""Error answers: problem+json (RFC 9457), with a closed list of types."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from gateway.domain.errors import Fault
from gateway.web.response import PROBLEM, Response


class FieldError(Struct, frozen=True):
    """One invalid field and the reason."""

    field: Annotated[str, Meta(examples=["recipient.phone"])]
    reason: Annotated[str, Meta(examples=["is not a phone number of CN"])]


class Problem(Struct, frozen=True, omit_defaults=True):
    """Body of every answer with a status of 400 or more. ``type`` is from a closed list."""

    type: Annotated[str, Meta(examples=["/problems/invalid"])]
    title: str
    status: int
    detail: str = ""
    errors: list[FieldError] = []
    #: What the request conflicts with: both sides of a conflict, the id of a parked order.
    context: dict[str, Any] = field(default_factory=dict)


#: The closed list: name -> (status, title).
KINDS: dict[str, tuple[int, str]] = {
    "malformed": (400, "Malformed request"),
    "unauthorised": (401, "Unauthorized"),
    "forbidden": (403, "Forbidden"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "slow-body": (408, "Request timeout"),
    "conflict": (409, "Order number already in use"),
    "version-changed": (412, "Version changed"),
    "out-of-stock": (409, "Out of stock"),
    "too-large": (413, "Payload too large"),
    "unsupported-media-type": (415, "Unsupported media type"),
    "misdirected": (421, "Misdirected request"),
    "invalid": (422, "Validation failed"),
    "key-reused": (422, "Idempotency-Key already used"),
    "parked": (422, "Order parked for review"),
    "quota-exceeded": (429, "Rate limit exceeded"),
    "internal": (500, "Internal server error"),
    "unavailable": (503, "Service unavailable"),
    "overloaded": (503, "Service overloaded"),
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
    """Return the response of one kind of problem. ``head``: header lines, each ended by CR LF."""
    status, title = KINDS[kind]
    errors = [FieldError(fault.field, fault.reason) for fault in faults]
    body = Problem(f"/problems/{kind}", title, status, detail, errors, context or {})
    return Response(status, _encode(body), PROBLEM, head)


def plain(status: int) -> Response:
    """Return the response to a request that could not be parsed as HTTP."""
    phrase = HTTPStatus(status).phrase
    return Response(status, _encode(Problem("/problems/malformed", phrase, status)), PROBLEM)


class Answered(Exception):
    """Ends the handling of a request with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response
