"""The outcome of the offered requests."""

from typing import Literal

import msgspec

Kind = Literal["order", "list"]


class Outcome(msgspec.Struct, kw_only=True):
    """The outcome of one kind of request in one phase. Milliseconds from the due moment."""

    seconds: float
    due: int = 0
    #: Answered 2xx; good: within a second.
    accepted: int = 0
    good: int = 0
    #: Answered 503, and not sent again.
    refused: int = 0
    #: Answered 503 and sent again at once.
    retried: int = 0
    other: int = 0
    #: Sent, without an answer.
    unanswered: int = 0
    #: No connection was free within a second.
    not_placed: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0

    @property
    def good_per_s(self) -> float:
        """Goodput."""
        return self.good / self.seconds

    def summarise(self, latencies_s: list[float]) -> None:
        """Set the latencies of the accepted requests, from at least one in seconds."""
        latencies_s.sort()

        def at(share: float) -> float:
            index = min(len(latencies_s) - 1, int(share * len(latencies_s)))
            return round(1e3 * latencies_s[index], 2)

        self.p50_ms, self.p99_ms, self.max_ms = at(0.5), at(0.99), at(1.0)


class Phase(msgspec.Struct, kw_only=True):
    """One phase: the outcome by kind, and the answers to lists, by tenths of a second."""

    outcomes: dict[Kind, Outcome]
    lists_accepted: list[int]
    lists_refused: list[int]
