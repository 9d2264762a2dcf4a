"""A worker with a fault in it, for the control: a webhook counts as delivered before its answer.

    python -m tests.torture.hasty_worker work

It is `tidegate` in all else. What it was sending when it is killed is lost, which must be found.
"""

import asyncio

from gateway.clients.webhook import WebhookSender
from gateway.domain.handoff import OutboundMessage, SendResult
from ops import cli
from workers import senders

#: Seconds until a message leaves: a queue in the process, as an impatient design has one.
_LEAVES_S = 0.2


class HastySender(WebhookSender):
    """Says that a message is delivered, and sends it afterwards."""

    async def send(self, message: OutboundMessage) -> SendResult:
        """Return at once."""
        later = asyncio.create_task(self._send_later(message))
        _LATER.add(later)
        later.add_done_callback(_LATER.discard)
        return SendResult("delivered", 200)

    async def _send_later(self, message: OutboundMessage) -> None:
        await asyncio.sleep(_LEAVES_S)
        await super().send(message)


_LATER: set[asyncio.Task[None]] = set()


def main() -> None:
    """Run `tidegate` with the hasty sender in the place of the true one."""
    vars(senders)["WebhookSender"] = HastySender
    cli.main()


if __name__ == "__main__":
    main()
