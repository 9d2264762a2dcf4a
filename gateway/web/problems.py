"""Error answers: problem+json (RFC 9457), with a closed list of types."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from gateway.domain.errors import Fault
from gateway.web.problem_kinds import KINDS
from gateway.web.response import PROBLEM, Response

#: How many faults an answer names at most.
ERRORS_MAX = 20


class FieldError(Struct, frozen=True):
    """One invalid field and the reason.

    ``field`` is its path in the body, a parameter of the query, a header, or ``body``.
    """

    field: Annotated[str, Meta(examples=["items[0].sku"])]
    reason: Annotated[str, Meta(examples=["must be a string, not a number"])]


class Problem(Struct, frozen=True, omit_defaults=True):
    """Body of every answer with a status of 400 or more. ``type`` is from a closed list."""

    type: Annotated[str, Meta(examples=["/problems/invalid"])]
    title: str
    status: int
    #: What happened, in a sentence for people. It may change; programs read ``type``.
    detail: str
    #: What is wrong, all of it up to 20 fields.
    errors: Annotated[list[FieldError], Meta(max_length=ERRORS_MAX)] = []
    #: What the request conflicts with: both sides of a conflict, the id of a parked order.
    context: dict[str, Any] = field(default_factory=dict)
    #: That of the answer's header X-Request-Id; log lines about the request carry it too.
    request_id: Annotated[str, Meta(examples=["k3v7q2m5xa-1f"])] = ""


_encode = msgspec.json.Encoder().encode


def problem(
    kind: str,
    detail: str = "",
    *,
    faults: Sequence[Fault] = (),
    context: dict[str, Any] | None = None,
    head: str = "",
) -> Response:
    """Return the response of one kind of problem, which names the first ``ERRORS_MAX`` faults.

    ``detail``: in one sentence, what happened and what to do; "": the faults say it.
    ``head``: header lines, each ended by CR LF.
    """
    known = KINDS[kind]
    detail = detail or _summary(faults)
    if len(faults) > ERRORS_MAX:
        detail += f"; these are the first {ERRORS_MAX}, there are more"
    errors = [FieldError(fault.field, fault.reason) for fault in faults[:ERRORS_MAX]]
    body = Problem(f"/problems/{kind}", known.title, known.status, detail, errors, context or {})
    return Response(known.status, _encode(body), PROBLEM, head)


def named(response: Response, request_id: str) -> Response:
    """Return a problem with the id of the request that it answers; any other response as it is."""
    if response.content_type != PROBLEM:
        return response
    # At the end of the object. An id has nothing to escape.
    body = b'%b,"request_id":"%b"}' % (response.body[:-1], request_id.encode())
    return Response(response.status, body, PROBLEM, response.head, response.outcome)


def _summary(faults: Sequence[Fault]) -> str:
    if len(faults) != 1:
        return "see errors: each names a field and the reason"
    return f"{faults[0].field}: {faults[0].reason}"


class Answered(Exception):
    """Ends the handling of a request with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response
