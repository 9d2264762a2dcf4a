"""The overload benchmark: what is left of a gateway at two, five and ten times what it can do.

The gateway is held to a part of a core, so that ten times its capacity can really be offered by a
generator on another one. Orders leave on schedule whether or not earlier ones are answered.
"""
