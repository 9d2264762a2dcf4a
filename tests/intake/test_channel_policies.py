"""Every rule that a channel is configured with reaches whoever decides about its orders."""

import msgspec

from gateway.domain.channels import ChannelPolicy
from gateway.intake import channel_policies
from gateway.runtime.settings import Channel, Settings

#: What a channel is configured with and no order is decided by.
_NOT_OF_ORDERS = {"name", "orders_per_s_max", "orders_burst"}


def test_a_channel_with_nothing_set_has_the_default_rules() -> None:
    settings = Settings(database_url="postgresql://nowhere", channels=[Channel("web")])
    assert channel_policies.of(settings) == {"web": ChannelPolicy()}


def test_every_rule_that_is_set_is_passed_on() -> None:
    rules = ChannelPolicy(
        lookalike="off",
        lookalike_window_s=3,
        parts="single",
        recipient="optional",
        paid_by="platform",
        unpaid_timeout_s=60,
    )
    default = ChannelPolicy()
    names = ChannelPolicy.__struct_fields__
    assert all(getattr(rules, name) != getattr(default, name) for name in names)
    assert set(Channel.__struct_fields__) - set(names) == _NOT_OF_ORDERS
    channel = Channel("web", **msgspec.structs.asdict(rules))
    settings = Settings(database_url="postgresql://nowhere", channels=[channel])
    assert channel_policies.of(settings) == {"web": rules}
