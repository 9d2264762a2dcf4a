"""Which addresses a client may connect to when somebody else chose the host name.

A name that a stranger chose can point to a service of the private network, now or from its second
look-up on (server-side request forgery, DNS rebinding). So the address of every connection is
checked as it is connected to, whatever was resolved before.
"""

import ipaddress
import socket

import aiohttp

#: NAT64 (RFC 6052, 2.1): the last 32 bits are an IPv4 address.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class NonPublicAddress(OSError):
    """A connection to an address that is not public was prevented."""


def is_public(address: str) -> bool:
    """Return whether an IP address is one unicast host of the public internet.

    An IPv6 address that embeds an IPv4 address (mapped, 6to4, NAT64) is judged by that as well.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if embedded is None and ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(str(embedded))
    return ip.is_global and not ip.is_multicast


def open_public_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Open a socket for one address, as the connector is about to connect to it.

    Raises ``NonPublicAddress`` for every other than a public one.
    """
    family, kind, protocol, _, where = address
    if not is_public(str(where[0])):
        raise NonPublicAddress("the address is not public")
    return socket.socket(family, kind, protocol)
