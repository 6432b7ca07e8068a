"""Which addresses belong to the public internet, and which others an operator has named."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The special-purpose registries of IANA. `is_global` of the standard library is not asked, since
# its answers differ between the patch releases of one Python.
_V4 = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),
        ("127.0.0.0/8", "loopback"),
        # A cloud's door to its own machinery, in the middle of public addresses.
        ("168.63.129.16/32", "a cloud's own service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
# Only 2000::/3 is in use as public; what lies in it and is not, comes first.
_V6 = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address in disguise"),
        ("::/96", "an IPv4 address in disguise"),
        ("64:ff9b:1::/48", "a private NAT64"),
        ("2001::/32", "a Teredo tunnel"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
)
_V6_PUBLIC = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def kind_of(address: Address) -> str | None:
    """What an address is instead of public; None if it is public."""
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4 if address in network), None)
    if address in _NAT64:
        # The way to the IPv4 internet where there is only IPv6: as public as what it stands for.
        inner = kind_of(IPv4Address(int(address) & 0xFFFF_FFFF))
        return None if inner is None else f"{inner}, through NAT64"
    named = next((kind for network, kind in _V6 if address in network), None)
    return named or (None if address in _V6_PUBLIC else "reserved")


@dataclass(frozen=True, slots=True)
class HostList:
    """Hosts that an operator has named: by name, by name and port, or by network.

    Attributes:
        hosts: host as in a URL, and the only port or None for all.
        networks: wherever a name leads into one of them.
    """

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "HostList":
        """The list behind `name`, `name:port`, `address`, `[v6]:port` and `network/bits`.

        Raises:
            ValueError: an entry is none of these; the message names it.
        """
        hosts: set[tuple[str, int | None]] = set()
        networks: list[Network] = []
        for entry in entries:
            if "/" in entry:
                networks.append(ip_network(entry))
            else:
                hosts.add(_host_and_port(entry))
        return cls(frozenset(hosts), tuple(networks))

    def names(self, host: str, port: int) -> bool:
        """Whether a URL's host is in the list, literally or as an address in a network."""
        if (host, None) in self.hosts or (host, port) in self.hosts:
            return True
        address = literal(host)
        return address is not None and self.covers(address)

    def names_port(self, host: str, port: int) -> bool:
        """Whether just this port was named."""
        return (host, port) in self.hosts

    def covers(self, address: Address) -> bool:
        """Whether an address lies in a listed network."""
        return any(address in network for network in self.networks)


def literal(host: str) -> Address | None:
    """The address that a host is, if it is no name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _host_and_port(entry: str) -> tuple[str, int | None]:
    # An IPv6 address without brackets has no port behind it.
    if (address := literal(entry)) is not None:
        return str(address), None
    host, separator, port = entry.rpartition(":") if ":" in entry else (entry, "", "")
    host = host.removeprefix("[").removesuffix("]").lower()
    if not host or host.endswith(".") or any(letter in host for letter in " /@*%"):
        raise ValueError(f"{entry!r} is no host name, address, host:port or network")
    if separator and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{entry!r} has no port from 1 to 65535")
    address = literal(host)
    return (host if address is None else str(address)), int(port) if separator else None
