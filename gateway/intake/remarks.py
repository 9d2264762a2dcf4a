"""Changes of a remark: tidied here, decided by the ledger under the order's lock.

They are not journaled. A remark is no order and no money: while Postgres is unavailable its
client is asked to retry, and nothing is promised.
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from gateway.domain import free_text
from gateway.domain.errors import Unavailable
from gateway.domain.remarks import Edit, Edited, RemarkChange
from gateway.intake import metrics
from gateway.runtime.clock import Clock


class Store(Protocol):
    """Where the orders are stored."""

    async def change(self, edit: Edit) -> Edited | None:
        """Apply an edit; None where there is no such order. Raises ``Unavailable``."""
        ...


class Remarks:
    """Changes the remarks of orders."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def change(
        self,
        order_id: UUID,
        change: RemarkChange,
        *,
        channels: Sequence[str] | None,
        is_test: bool | None,
        version: int | None,
        raw: bytes,
        trigger: str,
    ) -> Edited | None:
        """Return the outcome of a change, committed; None: no order of these has the id.

        ``channels``, ``is_test``: of which orders, None: of any.

        ``version``: the version that the order must have; None: any. Raises ``Unavailable`` when
        nothing was stored or it is not known whether it was: the same change sent again is
        harmless.
        """
        edit = Edit(
            order_id=order_id,
            channels=channels,
            is_test=is_test,
            remark=None if change.remark is None else free_text.tidied(change.remark),
            version=version,
            raw=raw,
            trigger=trigger,
            received_at=self._clock.now(),
        )
        try:
            edited = await self._store.change(edit)
        except Unavailable as exc:
            metrics.UNAVAILABLE.labels(exc.part).inc()
            raise
        metrics.REMARKS.labels("unknown" if edited is None else edited.answer).inc()
        return edited
