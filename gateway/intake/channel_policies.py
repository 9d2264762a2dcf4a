"""The channels as they are configured, turned into the rules that their orders follow."""

from gateway.domain.channels import ChannelPolicy, Policies
from gateway.runtime.settings import Settings


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
