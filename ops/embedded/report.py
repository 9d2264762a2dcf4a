"""Progress, reported line by line."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol, TextIO


class Reporter(Protocol):
    """Where progress goes. Both methods return at once and never raise."""

    def say(self, text: str) -> None:
        """Tell one thing that happened."""

    def step(self, text: str) -> contextlib.AbstractContextManager[None]:
        """Tell what begins now and, when the block ends well, how long it took."""


class Quiet:
    """Reports nothing: for the tests."""

    def say(self, text: str) -> None:
        """Nothing."""

    def step(self, text: str) -> contextlib.AbstractContextManager[None]:
        """Nothing."""
        return contextlib.nullcontext()


class Terminal:
    """Writes `starting PostgreSQL primary ... 0.9 s` lines, each as soon as it is known."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._line_is_open = False

    def say(self, text: str) -> None:
        """One line of its own."""
        self._write(f"{self._line_break()}{text}\n")
        self._line_is_open = False

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """A line that is finished with the time taken; broken off when the block raises."""
        began_s = time.monotonic()
        self._write(f"{self._line_break()}{text} ...")
        self._line_is_open = True
        try:
            yield
        except BaseException:
            self._write(self._line_break())
            self._line_is_open = False
            raise
        took = f"{time.monotonic() - began_s:.1f} s"
        self._write(f" {took}\n" if self._line_is_open else f"{text} ... {took}\n")
        self._line_is_open = False

    def _line_break(self) -> str:
        return "\n" if self._line_is_open else ""

    def _write(self, text: str) -> None:
        # A reader that went away (`tidegate up | head`) must not stop the servers.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
