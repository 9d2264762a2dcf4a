"""The channels as they are configured, turned into the rules that their orders follow."""

from collections.abc import Callable

from gateway.domain.channels import ChannelPolicy, Policies
from gateway.runtime.live import Live
from gateway.runtime.settings import Settings

_DEFAULT = ChannelPolicy()


def of(settings: Settings) -> Policies:
    """Return the rules of every configured channel by its name."""
    return {
        channel.name: ChannelPolicy(
            lookalike=channel.lookalike,
            lookalike_window_s=channel.lookalike_window_s,
            parts=channel.parts,
            recipient=channel.recipient,
            paid_by=channel.paid_by,
            unpaid_timeout_s=channel.unpaid_timeout_s,
        )
        for channel in settings.channels
    }


def takes_parts(policies: Live[Policies]) -> Callable[[str], bool]:
    """Return a function that says whether several payments of a channel's order add up, now.

    A channel that is not configured any more has orders still: they follow the default.
    """
    return lambda channel: policies.now.get(channel, _DEFAULT).parts == "accept"
