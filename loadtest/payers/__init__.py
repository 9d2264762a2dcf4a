"""Payment providers that pay the orders of the demo and of the tests.

    contract     what a payer offers
    stripe_sdk   the control: Stripe's messages, signed by Stripe's own library
    simulated    payers over `ops.simulators`

What a gateway verifies is worth only as much as the independence of who signed it. The control
shares no code with our simulators, so an error that they and the gateway have in common shows.
"""

from loadtest.payers import simulated
from loadtest.payers.contract import Payer
from loadtest.payers.stripe_sdk import StripeSdk


def create() -> list[Payer]:
    """Make three payers, each with an account and secrets of its own; the control is the first."""
    return [StripeSdk(), simulated.standard_webhooks(), simulated.alipay()]
