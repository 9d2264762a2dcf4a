"""PATCH /v1/orders/{id}/remark: change the remark of a stored order."""

import msgspec

from gateway.domain import remarks
from gateway.domain.remarks import Edited
from gateway.intake.remarks import Remarks
from gateway.runtime.live import Limits, Live
from gateway.web import json_body, preconditions
from gateway.web.handlers.order_lookup import Journal, not_found, order_id
from gateway.web.handlers.orders import OrderResult
from gateway.web.problems import Answered, problem
from gateway.web.request import Request, read_body, require_json
from gateway.web.response import Response

#: A remark of the maximum length, with every character escaped, takes 12 KiB.
BYTES_MAX = 16 * 1024

_encode = msgspec.json.Encoder().encode


class RemarkHandler:
    """Handles changes of remarks."""

    def __init__(self, *, remarks: Remarks, journal: Journal | None, limits: Live[Limits]) -> None:
        self._remarks = remarks
        self._journal = journal
        self._limits = limits

    async def change(self, request: Request) -> Response:
        """Answer 200 once the order has the remark, also where it had the same one before.

        412 where If-Match names another version than the order has, 409 where its private part
        cannot be opened: nothing is changed then.
        """
        principal = request.principal
        assert principal is not None, "the route requires a role"
        require_json(request)
        id_, version = order_id(request), preconditions.version(request)
        limits = self._limits.now
        body = await read_body(request, bytes_max=BYTES_MAX, body_s=limits.body_s)
        change = json_body.decode(remarks.decode, body, remarks.RemarkChange)
        edited = await self._remarks.change(
            id_,
            change,
            channels=principal.visible(),
            is_test=principal.visible_is_test(),
            version=version,
            raw=body,
            trigger=f"key:{principal.key_id}",
        )
        if edited is None:
            raise Answered(await not_found(id_, self._journal))
        return _response(edited)


def _response(edited: Edited) -> Response:
    id_ = str(edited.id)
    if edited.answer == "version_changed":
        context = {"id": id_, "version": edited.version}
        return problem("version-changed", "read the order again, then decide", context=context)
    if edited.answer == "unreadable":
        detail = "what is stored of the remark cannot be opened, so it cannot be changed"
        return problem("unreadable", detail, context={"id": id_})
    result = OrderResult(
        id_, edited.channel, edited.order_no, edited.status, edited.version, edited.hold
    )
    return Response(200, _encode(result))
