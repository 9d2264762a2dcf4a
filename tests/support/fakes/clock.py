"""A clock that moves only when a test moves it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.domain.support import NOW


@dataclass
class ManualClock:
    """``at_s`` moves both hands, ``at`` only the wall time."""

    at: datetime = NOW
    at_s: float = 0.0

    def now(self) -> datetime:
        return self.at + timedelta(seconds=self.at_s)

    def monotonic_s(self) -> float:
        return self.at_s
