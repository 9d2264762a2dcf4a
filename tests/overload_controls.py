"""The gateway with one part of its overload control broken, for `make bench-overload`.

    python -m tests.overload_controls late serve --port 8080

A floor that such a gateway holds proves nothing.
"""

import sys

from gateway.overload import load
from gateway.web.transport.early_rejection import EarlyRejection
from ops.cli import main


def _late() -> None:
    """Decide when a request was parsed, as a middleware would, and not on its first bytes."""

    def decide(self: EarlyRejection, data: bytes) -> None:
        return None

    EarlyRejection.decide = decide  # type: ignore[method-assign]


def _cpu() -> None:
    """Let CPU decide alone, without a queue that agrees."""
    load._CPU_ALONE = load.SHARE_MAX


CONTROLS = {"late": _late, "cpu": _cpu}

if __name__ == "__main__":
    CONTROLS[sys.argv.pop(1)]()
    main()
