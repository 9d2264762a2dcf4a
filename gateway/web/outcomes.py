"""What became of a request: the closed list that labels its metrics.

A status alone does not tell: many providers want 200 for a callback that was rejected, and 503 is
both overload and a part that does not answer.
"""

from typing import Literal

#: - ``ok``: done; ``replayed``: a repeat, answered with the first result; ``journaled``: 202;
#: - ``invalid``: the sender must change it; ``unauthorised``: 401 and 403; ``conflict``: it
#:   contradicts what is stored;
#: - ``limited``: a rate limit; ``shed``: for load or by an operator, where that was decided only
#:   after it was parsed (of early rejections ``tidegate_shed_total`` has the number);
#: - ``unavailable``: a part did not answer; ``failed``: a defect, logged.
Outcome = Literal[
    "ok", "replayed", "journaled", "invalid", "unauthorised", "conflict", "limited", "shed",
    "unavailable", "failed",
]  # fmt: skip

_BY_STATUS: dict[int, Outcome] = {
    202: "journaled", 401: "unauthorised", 403: "unauthorised", 409: "conflict", 412: "conflict",
    429: "limited", 503: "unavailable",
}  # fmt: skip
#: A repeat of an order is answered 200, a new one 201.
_BY_ROUTE: dict[tuple[str, int], Outcome] = {("orders.submit", 200): "replayed"}


def outcome(route: str, status: int) -> Outcome:
    """Return the outcome of a request to a route whose handler named none."""
    found = _BY_ROUTE.get((route, status)) or _BY_STATUS.get(status)
    if found is not None:
        return found
    if status >= 500:
        return "failed"
    return "invalid" if status >= 400 else "ok"
