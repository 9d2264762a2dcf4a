"""What was sent against what is stored: a 2xx is a promise, and every run checks it."""

from collections.abc import Mapping, Sequence

import msgspec


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a load generator: every order number of it begins with ``prefix``."""

    prefix: str
    #: Answered with a 2xx: must be stored.
    accepted: int
    #: Sent without a 2xx coming back: may be stored.
    in_doubt: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The promise as it turned out, over all runs against one service."""

    acknowledged: int
    stored: int
    in_doubt: int
    #: Runs with fewer rows than acknowledgements, or more than were sent.
    broken: list[str]


def compare(runs: Sequence[Sent], stored: Mapping[str, int]) -> Kept:
    """Compare run by run, so that a surplus of one cannot hide a loss of another."""
    broken = [
        f"run {run.prefix}: {run.accepted} acknowledged, {stored.get(run.prefix, 0)} stored"
        for run in runs
        if not run.accepted <= stored.get(run.prefix, 0) <= run.accepted + run.in_doubt
    ]
    return Kept(
        acknowledged=sum(run.accepted for run in runs),
        stored=sum(stored.get(run.prefix, 0) for run in runs),
        in_doubt=sum(run.in_doubt for run in runs),
        broken=broken,
    )
