"""`tidegate simulate`: what is sent, what came of it, and the demo for a newcomer.

script   which orders, which messages about them, and their amounts
orders   the orders at the gateway, read before and after with an API key
run      one run of messages, and the order before and after it
report   what is printed
demo     one order from its submission to its refund, at the gateway of `tidegate up`

The providers themselves are in `ops.simulators`.
"""
