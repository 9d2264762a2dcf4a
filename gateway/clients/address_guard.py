"""Which addresses a client may connect to when somebody else chose the host name.

A name that a stranger chose can point to a service of the private network, now or from its second
look-up on (server-side request forgery, DNS rebinding). So what is checked is the address that is
connected to, whatever was resolved before.
"""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

from gateway.clients import outbound_url

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: NAT64 (RFC 6052, 2.1): the last 32 bits are an IPv4 address.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: All that is assigned as global unicast. Site-local and IPv4-compatible addresses are outside.
_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")
#: Assigned to protocols; ``ipaddress`` takes most of it for public.
_IPV4_PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")


class AddressGuard:
    """Permits the public internet by TLS, and what is allowed by name besides."""

    def __init__(self, *, is_public_only: bool = True, allowed: Iterable[str] = ()) -> None:
        """Prepare a guard. Raises ``ValueError`` for what can not be allowed, with the reason.

        ``is_public_only``: False permits every address: somebody we trust chose the URL.
        ``allowed``: networks (``10.1.0.0/16``), addresses, and names of hosts. A network is allowed
        to every host. A name may point to private and loopback addresses, but not to the link-local
        ones, where clouds keep their credentials.
        """
        self._is_public_only = is_public_only
        self._networks: list[_Network] = []
        self._hosts: set[str] = set()
        for each in allowed:
            network = _network(each)
            if network is None:
                self._hosts.add(_host_name(each))
            else:
                self._networks.append(network)

    def refusal(self, host: str, address: str, *, is_tls: bool) -> str:
        """Say why this address is not connected to in the name of this host; empty: it may be.

        Without TLS only what is allowed by name is: on the public internet everybody can read it.
        """
        if not self._is_public_only:
            return ""
        ip = _unwrapped(address)
        if ip is None:
            return "the address is not public"
        if any(ip in network for network in self._networks):
            return ""
        if host in self._hosts and (_is_internal(ip) or _is_public(ip)):
            return ""
        if not _is_public(ip):
            return "the address is not public"
        return "" if is_tls else "the address is public, and called without TLS: use https"


#: For URLs of our own settings that may point anywhere.
ANYWHERE = AddressGuard(is_public_only=False)


def is_public(address: str) -> bool:
    """Return whether an IP address is one unicast host of the public internet.

    An IPv6 address that embeds an IPv4 address (mapped, 6to4, NAT64) is judged by that.
    """
    ip = _unwrapped(address)
    return ip is not None and _is_public(ip)


def _unwrapped(address: str) -> _Address | None:
    """Return the address, or the IPv4 address inside of it; None where it is none."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    embedded = ip.ipv4_mapped or ip.sixtofour
    if embedded is None and ip in _NAT64:
        embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return embedded or ip


def _is_public(ip: _Address) -> bool:
    if ip.is_multicast or not ip.is_global:
        return False
    return ip not in _IPV4_PROTOCOLS if ip.version == 4 else ip in _IPV6_UNICAST


def _is_internal(ip: _Address) -> bool:
    """Return whether it is an address of one's own machine or network."""
    is_shared = ip in ipaddress.IPv4Network("100.64.0.0/10")
    is_odd = ip.is_link_local or ip.is_multicast or ip.is_unspecified
    return (ip.is_private or is_shared) and not is_odd


def _network(text: str) -> _Network | None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        if "/" in text:
            raise ValueError(
                f"{text} is no network: write it like 10.1.0.0/16, with zeros after the prefix"
            ) from None
        return None
    mapped = isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped
    if mapped:
        raise ValueError(f"{text} is an IPv4 network: write it like 10.1.0.0/16")
    return network


def _host_name(text: str) -> str:
    try:
        destination = outbound_url.parse(f"http://{text}/")
    except outbound_url.BadUrl:
        destination = None
    if destination is None or destination.host != text.lower() or destination.is_address:
        raise ValueError(f"{text!r} is neither the name of a host nor a network like 10.1.0.0/16")
    return destination.host
