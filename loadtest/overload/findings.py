"""What is measured, as ``--json`` writes it."""

import msgspec

from loadtest.overload.outcomes import Outcome, Phase

#: The multiples of the capacity that are offered.
TIMES = (2, 5, 10)


class Trial(msgspec.Struct, frozen=True):
    """The outcome of the offered orders, and the capacity (orders/s) right before."""

    capacity: float
    orders: Outcome

    @property
    def goodput(self) -> float:
        """Goodput, as a share of the capacity."""
        return self.orders.good_per_s / self.capacity

    @property
    def answered(self) -> float:
        """The share of the due orders that were answered 2xx within a second."""
        return self.orders.good / max(1, self.orders.due)


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """A step from half of the capacity to five times, and back. None: it did not happen."""

    #: Milliseconds from the step until the last list was answered.
    shed_after_ms: float | None = msgspec.field(name="dark_after_ms")
    #: Seconds from the step back until every list is answered again.
    back_after_s: float | None
    #: How often a minute lists began or ceased to be shed, by the gateway's own log.
    flips_per_min: float


class Findings(msgspec.Struct, kw_only=True):
    """Everything that was measured."""

    held_to_cores: float
    cores: int
    python: str
    #: Orders a second in a closed loop: each probe but those of controls, in their order.
    probes: list[float]
    #: Orders alone, by the multiple of the capacity.
    flood: dict[int, list[Trial]]
    #: Five times the capacity without shedding: the control.
    unshed: list[Trial]
    #: Orders at 0.6 of the capacity, the rest lists, in one process.
    mixed: dict[int, list[Trial]]
    #: The same with lists in a separate process.
    apart: dict[int, list[Trial]]
    #: Orders through HAProxy, which rejects before the gateway; empty where it is not installed.
    fronted: dict[int, list[Trial]]
    #: CPU of a rejected order as a share of that of an accepted one.
    refusal_cost: list[float]
    #: The CPU seconds of an accepted order, before each round.
    accept_s: list[float]
    #: The same share, of a rejection by bare sockets that do nothing else, at the same rate.
    least_refusal_cost: list[float]
    #: Five times the capacity, decided only after a request is parsed: a control.
    late: list[Trial]
    #: Windows of orders and lists at 0.7 of the capacity right before each.
    quiet: list[Phase]
    #: The same where the load is the CPU use alone: a control.
    cpu_alone: list[Phase]
    #: Orders at 0.7 of the capacity, from ten seconds after the end of a flood of ten times it, in
    #: which rejected clients sent three more times at once.
    after_flood: Trial
    #: Shares of the samples with a load of 0.7 or more while half of the capacity was offered,
    #: and below 0.8 while all of it was.
    high_at_half: float
    low_at_full: float
    steps: list[Steps]
