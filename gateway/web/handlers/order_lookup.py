"""The order id in a path, and the answer for an id without an order in the key's channels."""

from typing import Protocol
from uuid import UUID

from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response


class Journal(Protocol):
    """Accepted orders that are not yet in the ledger."""

    async def may_hold(self, id_: UUID) -> bool:
        """Return whether the order of this id may be among them."""
        ...


def order_id(request: Request) -> UUID:
    """Return the id in the path. Raises ``Answered`` with 404 for a text that is not an id."""
    try:
        return UUID(request.path_values[0])
    except ValueError:
        raise Answered(_missing()) from None


async def not_found(id_: UUID, journal: Journal | None) -> Response:
    """Return 404, or 503 while the order may still be in the journal."""
    if journal is not None and await journal.may_hold(id_):
        detail = "the order may still be in the journal; ask again"
        return problem("unavailable", detail, head="Retry-After: 1\r\n")
    return _missing()


def _missing() -> Response:
    return problem("not-found", "no order of the key's channels has this id")
