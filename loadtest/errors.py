"""The one way a load test fails to run, and what of ``ops`` is translated into it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ops.embedded.errors import CannotStart
from ops.embedded.processes import HelperFailed
from ops.harness.gateway_process import EndedEarly


class CannotRun(Exception):
    """The load test cannot run, or cannot go on; the text says why and what to do."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise ``CannotRun`` for what the harness raises in the block, with the same text."""
    try:
        yield
    except (CannotStart, HelperFailed, EndedEarly) as problem:
        raise CannotRun(str(problem)) from problem
