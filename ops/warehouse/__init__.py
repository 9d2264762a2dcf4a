"""The demonstration warehouse of `tidegate up`: it is told of paid orders, and ships them.

It stands outside, as a real one does: it knows the gateway by HTTP alone. `tidegate up --bare`
leaves it out.

steps      what each event and each moment mean for an order; pure
book       what it was told, and how far each order is, in a file of its own
receiving  takes webhooks: verified by the official library, written down before the 2xx
reporting  tells the gateway that an order was accepted, shipped and delivered
"""
