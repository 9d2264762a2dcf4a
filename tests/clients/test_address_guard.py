"""Addresses that a client may connect to, and those that it may not."""

import socket

import pytest

from gateway.clients import address_guard


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
        "2002:7f00:1::1", "2002:a00:1::1",
        # not an address at all
        "", "localhost", "8.8.8.8.8", "2130706433", "0x7f000001",
    ],
)  # fmt: skip
def test_other_addresses(address: str) -> None:
    assert not address_guard.is_public(address)


def test_no_socket_is_opened_for_a_private_address() -> None:
    for family, where in (
        (socket.AF_INET, ("192.168.1.1", 443)),
        (socket.AF_INET6, ("::1", 443, 0, 0)),
    ):
        with pytest.raises(address_guard.NonPublicAddress):
            address_guard.open_public_socket((family, socket.SOCK_STREAM, 6, "", where))
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 443))
    with address_guard.open_public_socket(address) as opened:
        assert (opened.family, opened.type) == (socket.AF_INET, socket.SOCK_STREAM)
