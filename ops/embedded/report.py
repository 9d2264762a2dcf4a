"""Progress, reported line by line."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol, TextIO


class Reporter(Protocol):
    """Where progress goes. Both methods return at once and never raise."""

    def say(self, text: str) -> None:
        """Report one thing that happened."""

    def step(self, text: str) -> contextlib.AbstractContextManager[None]:
        """Report what begins now and, when the block ends without an error, how long it took."""


class Quiet:
    """Discards everything: for the tests."""

    def say(self, text: str) -> None:
        """Nothing."""

    def step(self, text: str) -> contextlib.AbstractContextManager[None]:
        """Nothing."""
        return contextlib.nullcontext()


class Terminal:
    """Writes `starting PostgreSQL primary ... 0.9 s` lines, each part as soon as it is known."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._line_is_open = False

    def say(self, text: str) -> None:
        """Writes one line."""
        self._write(f"{self._line_break()}{text}\n")
        self._line_is_open = False

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Writes a line that ends with the time taken; without it when the block raises."""
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
        # A closed pipe (`tidegate up | head`) must not stop the servers.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
