"""Addresses that a client may connect to, and those that it may not."""

import pytest

from gateway.clients import address_guard
from gateway.clients.address_guard import AddressGuard


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "101.226.103.106",
        "2606:4700:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_public_addresses(address: str) -> None:
    assert address_guard.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        # loopback, unspecified, private, carrier-grade NAT, link-local (cloud metadata)
        "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "100.64.0.1", "169.254.169.254",
        # multicast, broadcast, documentation, benchmarking
        "224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1",
        # an IPv4 address inside of an IPv6 address
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::1", "2002:a00:1::1", "::127.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8",
        "64:ff9b:1::7f00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        # assigned to protocols, site-local
        "192.0.0.9", "192.0.0.170", "fec0::1",
        # not an address at all
        "", "localhost", "8.8.8.8.8", "2130706433", "0x7f000001",
    ],
)  # fmt: skip
def test_other_addresses(address: str) -> None:
    assert not address_guard.is_public(address)


def _permits(guard: AddressGuard, host: str, address: str, *, is_tls: bool = True) -> bool:
    return not guard.refusal(host, address, is_tls=is_tls)


def test_what_is_allowed_by_name() -> None:
    """A network is allowed to every host, a host only for itself and never to the link-local."""
    guard = AddressGuard(allowed=["10.1.0.0/16", "192.168.7.7", "fd00::/8", "wms.internal"])
    for address in ("10.1.2.3", "192.168.7.7", "fd12::1", "::ffff:10.1.2.3", "8.8.8.8"):
        assert _permits(guard, "anybody.example", address)
    for address in ("10.2.0.1", "192.168.7.8", "127.0.0.1", "::1", "100.64.0.1"):
        assert not _permits(guard, "anybody.example", address)
        assert _permits(guard, "wms.internal", address)
    for address in ("169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1"):
        assert not _permits(guard, "wms.internal", address)


def test_without_tls_only_what_is_allowed_by_name() -> None:
    guard = AddressGuard(allowed=["10.1.0.0/16", "wms.internal"])
    assert _permits(guard, "anybody.example", "10.1.2.3", is_tls=False)
    assert _permits(guard, "wms.internal", "8.8.8.8", is_tls=False)
    assert "without TLS" in guard.refusal("anybody.example", "8.8.8.8", is_tls=False)


def test_without_a_guard_every_address_is_permitted() -> None:
    assert _permits(address_guard.ANYWHERE, "inventory", "127.0.0.1", is_tls=False)


@pytest.mark.parametrize(
    "wrong",
    ["10.1.0.1/16", "10.0.0.0/33", "::ffff:10.0.0.0/104", "", "a b", "http://x", "host:80", "x/y"],
)
def test_what_can_not_be_allowed(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"network|name of a host"):
        AddressGuard(allowed=[wrong])
