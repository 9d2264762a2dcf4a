"""The overload benchmark: the goodput of a gateway at two, five and ten times its capacity.

The gateway is limited to a part of a core, so that a generator on another core can offer ten times
its capacity. Orders leave on schedule whether or not earlier ones are answered.
"""
