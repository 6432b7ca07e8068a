"""Which URLs may be called: one strict grammar, without a second opinion anywhere behind it."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from inventory_api.outbound.addresses import Address, HostList, kind_of, literal
from inventory_api.outbound.errors import ForbiddenAddress

URL_LENGTH_MAX = 2_048
HOST_LENGTH_MAX = 253
PORTS = {"http": 80, "https": 443}
# Below it live the services of the system, which are no web servers.
FREE_PORTS_FROM = 1_024

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# A last label like this makes an address of the whole host in some parsers: 127.1, 0x7f.1, 017.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that mean something inside a machine, a house or a company only.
_INSIDE = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL in its parts, as they are sent.

    Attributes:
        host: in lower case, an IPv6 address without brackets.
        path: with the query; at least `/`.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be called.

    Attributes:
        private: hosts that may be called although they are not public.
        plain: hosts that may be called by http.
    """

    private: HostList = field(default_factory=HostList)
    plain: HostList = field(default_factory=HostList)

    def target(self, url: str) -> Target:
        """The URL in its parts; nothing is looked up.

        Raises:
            ForbiddenAddress: it may not be called; the message says what is wrong with it.
        """
        found = _match(url)
        scheme, authority = found["scheme"].lower(), found["authority"]
        if scheme not in PORTS:
            raise ForbiddenAddress(f"the scheme is {scheme}, not https")
        if "@" in authority:
            raise ForbiddenAddress("it has a user name or a password before the host")
        if found["fragment"] is not None:
            raise ForbiddenAddress("it has a fragment (#...), which is never sent")
        host, port = _split(authority, PORTS[scheme])
        self._judge(scheme, host, port)
        return Target(scheme, host, port, (found["path"] or "/") + (found["query"] or ""))

    def refusal(self, host: str, port: int, address: Address) -> str | None:
        """Why a host may not be called at an address; None if it may."""
        kind = kind_of(address)
        if kind is None or self.private.names(host, port) or self.private.covers(address):
            return None
        return kind

    def _judge(self, scheme: str, host: str, port: int) -> None:
        """The host itself, as far as that can be told without asking anybody."""
        address = literal(host)
        is_named = self.private.names(host, port)
        if address is not None and (kind := self.refusal(host, port, address)) is not None:
            raise ForbiddenAddress(f"the address {host} is not public but {kind}")
        if address is None and not is_named:
            _judge_name(host)
        if scheme == "http" and not self.plain.names(host, port):
            raise ForbiddenAddress("the scheme is http, not https")
        if port < FREE_PORTS_FROM and port not in PORTS.values():
            is_named = self.private.names_port(host, port) or self.plain.names_port(host, port)
            if not is_named:
                raise ForbiddenAddress(f"the port {port} is not 443, 80, or 1024 and above")


def _match(url: str) -> re.Match[str]:
    if len(url) > URL_LENGTH_MAX:
        raise ForbiddenAddress(f"it is longer than {URL_LENGTH_MAX} characters")
    if any(letter <= " " or letter == "\x7f" for letter in url):
        raise ForbiddenAddress("it has white space or a control character in it")
    if not url.isascii():
        raise ForbiddenAddress("it is not plain ASCII: write the host as xn--..., the rest as %..")
    if "\\" in url:
        raise ForbiddenAddress("it has a backslash in it")
    found = _URL.fullmatch(url)
    if found is None:
        raise ForbiddenAddress("it is no URL of the form https://host/path")
    return found


def _split(authority: str, default_port: int) -> tuple[str, int]:
    """Host and port. An IPv4 address has one spelling only, and an IPv6 one its brackets."""
    if authority.startswith("["):
        inside, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ForbiddenAddress("the brackets of the address are not closed")
        return _v6(inside), _port(rest[1:] if rest else None, default_port)
    host, colon, port = authority.partition(":")
    return _host(host.lower()), _port(port if colon else None, default_port)


def _v6(inside: str) -> str:
    if "%" in inside:
        raise ForbiddenAddress("the address has a zone in it")
    address = literal(inside)
    if not isinstance(address, IPv6Address):
        raise ForbiddenAddress("there is no IPv6 address in the brackets")
    return str(address)


def _port(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit() or len(text) > 5 or not 0 < int(text) < 65_536:
        raise ForbiddenAddress("the port is not a number from 1 to 65535")
    return int(text)


def _host(host: str) -> str:
    if not host:
        raise ForbiddenAddress("it has no host")
    if host.endswith("."):
        raise ForbiddenAddress("the host ends with a dot")
    if len(host) > HOST_LENGTH_MAX:
        raise ForbiddenAddress(f"the host is longer than {HOST_LENGTH_MAX} characters")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        if not isinstance(literal(host), IPv4Address):
            raise ForbiddenAddress("the host is a number, but no address like 192.0.2.1")
    elif not all(_LABEL.fullmatch(label) for label in labels):
        raise ForbiddenAddress("the host has other characters than letters, digits, - and dots")
    return host


def _judge_name(host: str) -> None:
    if any(host == inside or host.endswith("." + inside) for inside in _INSIDE):
        raise ForbiddenAddress(f"the name {host} is not public")
    if "." not in host:
        raise ForbiddenAddress(f"the name {host} has no dot in it, so it is not public")
