"""What was acknowledged against what is stored: every run checks the promise of a 2xx."""

from collections.abc import Mapping, Sequence

import msgspec


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a load generator: every order number of it begins with ``prefix``."""

    prefix: str
    #: Answered with a 2xx: must be stored.
    accepted: int
    #: Sent without a 2xx coming back: may be stored.
    in_doubt: int


class Promises(msgspec.Struct, frozen=True, kw_only=True):
    """Acknowledged and stored orders, over all runs against one service."""

    acknowledged: int
    stored: int
    in_doubt: int
    #: Runs with fewer rows than acknowledgements, or more than were sent.
    broken: list[str]


def compare(runs: Sequence[Sent], stored: Mapping[str, int]) -> Promises:
    """Compare run by run, so that a surplus of one cannot hide a loss of another."""
    broken = [
        f"run {run.prefix}: {run.accepted} acknowledged, {stored.get(run.prefix, 0)} stored"
        for run in runs
        if not run.accepted <= stored.get(run.prefix, 0) <= run.accepted + run.in_doubt
    ]
    return Promises(
        acknowledged=sum(run.accepted for run in runs),
        stored=sum(stored.get(run.prefix, 0) for run in runs),
        in_doubt=sum(run.in_doubt for run in runs),
        broken=broken,
    )
