"""Payment providers that pay the orders of the demo and of the tests.

    contract     what a payer offers
    stripe_sdk   the control: Stripe's messages, signed by Stripe's own library
    simulated    payers over `ops.simulators`

A verification proves only as much as the signer is independent. The control shares no code with
our simulators, so it reveals an error that they and the gateway have in common.
"""

from loadtest.payers import simulated
from loadtest.payers.contract import Payer
from loadtest.payers.stripe_sdk import StripeSdk


def create() -> list[Payer]:
    """Create three payers, each with an account and secrets of its own; the control is first."""
    return [StripeSdk(), simulated.standard_webhooks(), simulated.alipay()]
