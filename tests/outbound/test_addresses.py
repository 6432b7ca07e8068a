"""Which addresses are public."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, strategies as st

from inventory_api.outbound.addresses import HostList, kind_of
from tests.outbound.corpus import ADDRESSES


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2003::1",
        "2606:4700::1111",
        "64:ff9b::8.8.8.8",
    ],
)
def test_a_public_address_is_public_up_to_the_edge_of_its_neighbours(text: str) -> None:
    assert kind_of(ip_address(text)) is None


@pytest.mark.parametrize("text", [text for text in ADDRESSES if text != "OWN"])
def test_an_address_of_the_inside_is_not_public(text: str) -> None:
    assert kind_of(ip_address(text)) is not None


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_calls_private_is_never_public_here(address: IPv4Address) -> None:
    closed = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )

    assert not (closed and kind_of(address) is None)


@given(st.ip_addresses(v=6))
def test_outside_of_2000_no_ipv6_address_is_public_but_nat64(address: IPv6Address) -> None:
    is_usual = int(address) >> 125 == 0b001
    is_nat64 = int(address) >> 32 == 0x64_FF9B << 64

    assert is_usual or is_nat64 or kind_of(address) is not None


@given(st.ip_addresses(v=4))
def test_nat64_is_as_public_as_what_it_stands_for(address: IPv4Address) -> None:
    through = IPv6Address((0x64_FF9B << 96) | int(address))

    assert (kind_of(through) is None) == (kind_of(address) is None)


def test_a_network_covers_its_addresses_and_a_host_only_itself() -> None:
    hosts = HostList.parse(["10.1.0.0/16", "10.2.0.1"])

    assert hosts.covers(IPv4Address("10.1.255.255"))
    assert not hosts.covers(IPv4Address("10.2.0.1"))
    assert hosts.names("10.2.0.1", 443)
    assert not hosts.names("10.2.0.2", 443)
