"""SIGHUP: a request to reload, or the end of the terminal that a process was started in.

A daemon has no terminal, and ``kill -HUP`` asks it to reload. A process that was started in a
terminal is also sent SIGHUP when that terminal hangs up, and must end then: nobody could stop it
with Ctrl-C any more. So the signal means the end where the terminal has just gone, and a reload
everywhere else. Whoever ignores SIGHUP at the start (``nohup``) wants a process to outlive its
terminal: there it always means a reload.

The kernel may send the signal an instant before it takes the terminal away, so a signal is decided
about at the second look. A shell that lets its jobs go (``disown``) sends none: once the terminal
has been gone for a while, the process counts as a daemon.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

#: ``reload``: read the configuration anew. ``end``: the terminal hung up.
Meaning = Literal["reload", "end"]

#: Seconds between two looks whether the terminal is still there.
_LOOK_EVERY_S = 1.0
#: Seconds after the terminal has gone in which SIGHUP is taken for its hang-up.
_HANG_UP_S = 3.0


def has_terminal() -> bool:
    """Return whether this process has a controlling terminal now."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class Hangups:
    """The SIGHUPs of a process. Several in a row are one; none of them ends the process.

    Call ``take`` again and again, several times a second. Monotonic seconds are passed in.
    """

    def __init__(self, *, is_tied: bool, has_terminal: Callable[[], bool] = has_terminal) -> None:
        """``is_tied``: whether the process ends with its terminal, if it has one now."""
        self._has_terminal = has_terminal
        self._is_tied = is_tied and has_terminal()
        self._is_asked = False
        self._is_second_look = False
        self._gone_since_s: float | None = None
        self._look_at_s = 0.0

    def note(self) -> None:
        """Take notice of a SIGHUP."""
        self._is_asked = True

    def take(self, now_s: float) -> Meaning | None:
        """Return what the signals since the last call mean; None: there were none."""
        is_asked = self._is_asked
        if self._is_tied and (is_asked or now_s >= self._look_at_s):
            self._look(now_s)
            if is_asked and self._gone_since_s is None and not self._is_second_look:
                self._is_second_look = True
                return None
        self._is_asked = self._is_second_look = False
        if not is_asked:
            return None
        return "end" if self._is_tied and self._gone_since_s is not None else "reload"

    def _look(self, now_s: float) -> None:
        self._look_at_s = now_s + _LOOK_EVERY_S
        if self._has_terminal():
            self._gone_since_s = None
        elif self._gone_since_s is None:
            self._gone_since_s = now_s
        elif now_s - self._gone_since_s >= _HANG_UP_S:
            self._is_tied = False


def listen() -> Hangups:
    """Begin to take notice of SIGHUP, which ends this process no longer. From the main thread.

    Do so before the settings are read: what is signalled later is taken for a wish to read them
    anew.
    """
    hangups = Hangups(is_tied=signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN)

    def on_signal(number: int, frame: FrameType | None) -> None:
        hangups.note()

    signal.signal(signal.SIGHUP, on_signal)
    # What was held back since this process was started comes now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    return hangups


@contextmanager
def held_back() -> Iterator[None]:
    """Start a process within this block that will ``listen``: no SIGHUP ends it before that."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
