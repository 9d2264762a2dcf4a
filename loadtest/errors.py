"""The one error of a load test that cannot run, and the errors of ``ops`` translated into it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ops.embedded.errors import CannotStart
from ops.embedded.processes import HelperFailed
from ops.harness.gateway_process import EndedEarly


class CannotRun(Exception):
    """The load test cannot run, or cannot continue; the text says why and what to do."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise ``CannotRun`` for errors of the harness in the block, with the same text."""
    try:
        yield
    except (CannotStart, HelperFailed, EndedEarly) as problem:
        raise CannotRun(str(problem)) from problem
