"""The id in a path, and what is said of one that no order of the key's channels has."""

from typing import Protocol
from uuid import UUID

from gateway.web.problems import Answered, problem
from gateway.web.request import Request
from gateway.web.response import Response


class Journal(Protocol):
    """Where orders wait that the ledger has not seen."""

    async def may_hold(self, id_: UUID) -> bool:
        """Whether the order of this id may be among them."""
        ...


def order_id(request: Request) -> UUID:
    """Return the id that the path begins with. Raises ``Answered`` for what can not be one."""
    try:
        return UUID(request.path_values[0])
    except ValueError:
        raise Answered(_missing()) from None


async def unknown(id_: UUID, journal: Journal | None) -> Response:
    """Say that there is no such order, or that it may yet come out of the journal."""
    if journal is not None and await journal.may_hold(id_):
        detail = "the order may still be on its way from the journal into the ledger"
        return problem("unavailable", detail, head="Retry-After: 1\r\n")
    return _missing()


def _missing() -> Response:
    return problem("not-found", "there is no such order in the key's channels")
