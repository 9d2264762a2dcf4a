"""What operators said, as this process knows it: from the ledger, and from this machine's drawer.

Looked at once a second, so a word is known everywhere within two. While the ledger is away the
last known modes stand until their own end, and the drawer goes on working.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.domain import overrides
from gateway.domain.errors import TidegateError
from gateway.domain.features import Tier
from gateway.domain.overrides import Action, Override
from gateway.overload import metrics
from gateway.runtime import lifecycle
from gateway.runtime.clock import Clock

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_TO: Mapping[Action, str] = {"shed": "be refused", "admit": "be taken", "early": "go early"}
#: Seconds that a look waits for the ledger, be it asked or told; what takes longer goes on, and is
#: heard later. Whoever asks this machine's gateways to look waits 1.5 s for them.
_WAIT_S = 0.8


class Ledger(Protocol):
    """Where modes are kept for all."""

    async def every(self) -> list[Override]:
        """Every mode that stands or is asked for. Raises ``Unavailable``."""
        ...


class Local(Protocol):
    """What was said on this machine and is not in the ledger yet."""

    def over(self, known: list[Override]) -> list[Override]:
        """The modes with what is newer here laid over them."""
        ...

    async def bring_in(self) -> bool:
        """Bring it into the ledger, which answers now; whether any was. Raises ``Unavailable``."""
        ...

    def remember(self, known: list[Override]) -> None:
        """Keep what the ledger says for whoever starts while it is away. Raises ``OSError``."""
        ...

    def recalled(self) -> list[Override]:
        """What was kept and has not ended."""
        ...


class _Window(Struct, frozen=True):
    """A mode and its time, by this process' monotonic clock."""

    mode: Override
    begins_s: float
    ends_s: float

    def at(self, now_s: float) -> Override:
        """Return the mode with what is left of it, and until it begins, now."""
        return msgspec.structs.replace(
            self.mode,
            left_s=round(self.ends_s - now_s, 1),
            starts_s=round(max(0.0, self.begins_s - now_s), 1),
        )


class Overrides:
    """The modes of now, by feature and by tier.

    ``words`` has what is said of a feature, by its name; ``early`` the tiers that are to go dark
    at a lower load.
    """

    def __init__(self, *, ledger: Ledger, local: Local, clock: Clock) -> None:
        self._ledger = ledger
        self._local = local
        self._clock = clock
        self._asking: asyncio.Task[list[Override]] | None = None
        self._asked_at_s = 0.0
        self._bringing: asyncio.Task[bool] | None = None
        self._is_away = False
        self._has_heard = False
        # As read, and when: what is left of each is counted from there, by the monotonic clock.
        self._known: Sequence[Override] = ()
        self._known_at_s = 0.0
        self._windows: Sequence[_Window] = ()
        self._next_change_s = float("inf")
        self._said: Mapping[str, Action] = {}
        self.words: Mapping[str, Action] = {}
        self.early: frozenset[Tier] = frozenset()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look again and again until told to stop."""
        while not stopping.is_set():
            await self.look()
            await lifecycle.pause(stopping, _LOOK_S)

    async def look(self) -> None:
        """Find out what was said. Never raises for what is away, and never waits long for it."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _WAIT_S
        self._hear_brought()
        # Not while something is brought in: what was read before it was there, and heard after it
        # left the drawer, would not have it.
        is_heard = self._bringing is None and await self._ask()
        now_s = self._clock.monotonic_s()
        laid = self._settle(now_s)
        if is_heard:
            # It is to stand from here while it moves from the drawer into the ledger.
            self._known, self._known_at_s = laid, now_s
            self._bringing = asyncio.create_task(self._local.bring_in(), name="bring in")
            self._bringing.add_done_callback(_heard)
        if self._bringing is not None:
            await asyncio.wait({self._bringing}, timeout=max(0.0, until_s - loop.time()))
            self._hear_brought()

    def tick(self, now_s: float) -> None:
        """Take back what has ended, and begin what was planned for now."""
        if now_s >= self._next_change_s:
            self._stand(now_s)

    def standing(self) -> list[Override]:
        """Return the modes that have not ended, those that are asked for or planned too."""
        now_s = self._clock.monotonic_s()
        return [window.at(now_s) for window in self._windows if window.ends_s > now_s]

    async def _ask(self) -> bool:
        """Ask the ledger what was said; whether it told it in time, and nobody else heard it."""
        if self._asking is None:
            self._asked_at_s = self._clock.monotonic_s()
            self._asking = asyncio.create_task(self._ledger.every(), name="modes")
            self._asking.add_done_callback(_heard)
        # Waited for from outside: what hangs in the driver does not always heed a cancellation.
        asking = self._asking
        await asyncio.wait({asking}, timeout=_WAIT_S)
        # Whoever else looked meanwhile may have heard it already.
        if not asking.done() or self._asking is not asking:
            return False
        self._asking = None
        return self._hear(asking)

    def _hear(self, asked: asyncio.Task[list[Override]]) -> bool:
        try:
            known = asked.result()
        except (TidegateError, asyncio.CancelledError) as exc:
            if not self._is_away:
                _log.warning("modes can not be read; the known ones stand: %s", exc)
            self._is_away = True
            if not self._has_heard:
                # Started while it is away: what it said last to this machine stands until its end.
                self._known, self._known_at_s = self._local.recalled(), self._clock.monotonic_s()
                self._has_heard = True
            return False
        self._known, self._known_at_s, self._is_away = known, self._asked_at_s, False
        self._has_heard = True
        self._remember(known)
        return True

    def _hear_brought(self) -> None:
        """Hear what became of what is brought in, once that is known."""
        bringing = self._bringing
        if bringing is None or not bringing.done():
            return
        self._bringing = None
        try:
            is_any = bringing.result()
        except (TidegateError, OSError, asyncio.CancelledError) as exc:
            kind = type(exc).__name__
            _log.warning("what was said on this machine waits for the ledger", extra={"kind": kind})
            return
        if is_any:
            # The drawer has it no more, and the ledger may be away before it is read again.
            self._remember(self._left(self._clock.monotonic_s()))

    def _remember(self, known: list[Override]) -> None:
        try:
            self._local.remember(known)
        except OSError as exc:
            _log.warning("modes can not be kept for a start without the ledger: %s", exc.strerror)

    def _left(self, now_s: float) -> list[Override]:
        """Return what is known and has not ended, with what is left of it."""
        since_s = now_s - self._known_at_s
        known = [
            msgspec.structs.replace(
                mode,
                left_s=mode.left_s - since_s,
                starts_s=mode.starts_s - since_s,
            )
            for mode in self._known
        ]
        return [mode for mode in known if mode.left_s > 0]

    def _settle(self, now_s: float) -> list[Override]:
        """Have what is known stand, with what was said on this machine laid over it."""
        laid = self._local.over(self._left(now_s))
        self._windows = [
            _Window(mode, now_s + max(0.0, mode.starts_s), now_s + mode.left_s) for mode in laid
        ]
        self._stand(now_s)
        return laid

    def _stand(self, now_s: float) -> None:
        """Find out what is said now, and when that changes by itself."""
        times = [at for each in self._windows for at in (each.begins_s, each.ends_s) if at > now_s]
        self._next_change_s = min(times, default=float("inf"))
        said = overrides.words(
            window.at(now_s) for window in self._windows if window.begins_s <= now_s < window.ends_s
        )
        if said == self._said:
            return
        for name in {**self._said, **said}:
            word = said.get(name)
            if word == self._said.get(name):
                continue
            _log.warning("operators: %s is %s", name, f"to {_TO[word]}" if word else "left alone")
            for each in overrides.ACTIONS:
                metrics.FORCED.labels(name, each).set(each == word)
        self._said = said
        self.words = {name: word for name, word in said.items() if word != "early"}
        self.early = overrides.early(said)


def _heard(asking: asyncio.Task[list[Override]] | asyncio.Task[bool]) -> None:
    # The process may end before anybody asks; asyncio must not complain about that.
    if not asking.cancelled():
        asking.exception()
