"""No connection reaches an address that must not be called: seen at listeners, not at the client."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from inventory_api.outbound.addresses import kind_of
from inventory_api.outbound.client import Outbound
from inventory_api.outbound.errors import ForbiddenAddress, OutboundError, TooSlow, Unreachable
from tests.outbound.corpus import ADDRESSES, URLS
from tests.outbound.peer import Peer, Rebinding, calling, get, limited, post, raw, reply

# Any address of 127.0.0.0/8 is this machine: one of them plays the public server.
OUTSIDE = "127.0.0.2"
NAME = "hooks.example"
EVERYBODY = (NAME, "0.0.0.0/0", "::/0")
CLOSING = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


class Listener:
    """Accepts at every address of this machine, on one port, and counts."""

    def __init__(self) -> None:
        self.accepted = 0
        self.port = 0

    async def __aenter__(self) -> "Listener":
        self._servers = AsyncExitStack()
        hosts = ["0.0.0.0", *(["::"] if _has_ipv6() else [])]
        for host in hosts:
            server = await asyncio.start_server(self._accept, host, self.port)
            self.port = server.sockets[0].getsockname()[1]
            await self._servers.enter_async_context(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._servers.aclose()

    def _accept(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        writer.transport.abort()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async with Listener() as listener:
        yield listener


def own_address() -> str:
    """This machine's address towards others; looking for it sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.1.1"
        return str(sock.getsockname()[0])


async def code_of(outbound: Outbound, url: str) -> str:
    """What comes of one call."""
    try:
        await outbound.send(get(url, retries=0))
    except OutboundError as error:
        return error.code
    return "reply"


def inside_addresses() -> list[str]:
    own = own_address()
    found = [address.replace("OWN", own) for address in ADDRESSES]
    return [address for address in found if kind_of(ip_address(address)) is not None]


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_no_url_of_the_corpus_reaches_a_listener(listener: Listener, scheme: str) -> None:
    own = own_address()
    urls = [
        url.replace("PORT", str(listener.port)).replace("OWN", own).replace("https:", f"{scheme}:")
        for url, _ in URLS
        if "OWN" not in url or kind_of(ip_address(own)) is not None
    ]
    # By http to everybody, so that nothing but the address and the spelling stands in the way.
    async with calling(plain=EVERYBODY, resolver=Rebinding(["127.0.0.1"])) as outbound:
        codes = [await code_of(outbound, url) for url in urls]

    assert len(urls) >= 80
    assert listener.accepted == 0
    assert set(codes) == {"forbidden_address"}


@pytest.mark.parametrize("address", inside_addresses())
async def test_a_name_that_leads_inside_reaches_no_listener(
    listener: Listener, address: str
) -> None:
    async with calling(plain=[NAME], resolver=Rebinding([address])) as outbound:
        with pytest.raises(OutboundError) as refused:
            await outbound.send(get(f"http://{NAME}:{listener.port}/", retries=0))

    assert listener.accepted == 0
    assert isinstance(refused.value, ForbiddenAddress)
    assert address not in str(refused.value), "nobody learns of the inside by asking"


async def test_the_same_listener_is_reached_once_its_network_is_named(listener: Listener) -> None:
    resolver = Rebinding(["127.0.0.1"])
    async with calling("127.0.0.0/8", plain=[NAME], resolver=resolver) as outbound:
        with pytest.raises(Unreachable):
            await outbound.send(post(f"http://{NAME}:{listener.port}/"))

    assert listener.accepted == 1


async def test_a_name_that_turns_inside_is_refused_at_its_next_connection() -> None:
    resolver = Rebinding([OUTSIDE], ["127.0.0.1"])
    async with (
        Peer(CLOSING, host=OUTSIDE) as peer,
        Peer(reply(), port=peer.port) as inside,
        calling(f"{OUTSIDE}/32", plain=[NAME], resolver=resolver) as outbound,
    ):
        url = f"http://{NAME}:{peer.port}/"
        first = await outbound.send(get(url))
        with pytest.raises(ForbiddenAddress):
            await outbound.send(get(url))

        assert first.status == 200
        assert resolver.asked == [NAME, NAME], "one question per connection, answered once"
        assert (peer.connections, inside.connections) == (1, 0)


async def test_an_inside_address_among_others_is_never_tried(listener: Listener) -> None:
    # Nobody listens at the one that may be called, so every address would get its turn.
    answer = ["127.0.0.1", OUTSIDE, "::1", own_address()]
    async with Peer(reply(), host=OUTSIDE) as gone:
        pass
    async with (
        Peer(reply(), port=gone.port) as inside,
        calling(f"{OUTSIDE}/32", plain=[NAME], resolver=Rebinding(answer)) as outbound,
    ):
        with pytest.raises(Unreachable):
            await outbound.send(post(f"http://{NAME}:{gone.port}/"))

    assert inside.connections == 0


async def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    resolver = Rebinding(["127.0.0.3", OUTSIDE])
    async with (
        Peer(reply(), host=OUTSIDE) as peer,
        calling("127.0.0.0/8", NAME, resolver=resolver) as outbound,
    ):
        answer = await outbound.send(post(f"http://{NAME}:{peer.port}/"))

    assert answer.status == 200


@pytest.mark.parametrize("where", ["http://127.0.0.1:PORT/", "http://[::1]:PORT/", "//OWN:PORT/"])
async def test_a_server_that_redirects_inside_leads_nobody_there(
    listener: Listener, where: str
) -> None:
    location = where.replace("PORT", str(listener.port)).replace("OWN", own_address())
    resolver = Rebinding([OUTSIDE])
    async with (
        Peer(reply(307, b"", location=location), host=OUTSIDE) as peer,
        calling(f"{OUTSIDE}/32", plain=[NAME], resolver=resolver) as outbound,
    ):
        answer = await outbound.send(get(f"http://{NAME}:{peer.port}/"))

    assert answer.status == 307
    assert listener.accepted == 0


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy = f"http://127.0.0.1:{listener.port}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {OUTSIDE} login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    async with Peer(reply(), host=OUTSIDE) as peer, calling(OUTSIDE) as outbound:
        await outbound.send(get(peer.url))

    assert listener.accepted == 0
    assert b"authorization" not in peer.requests[0].lower()


async def test_a_name_that_nobody_knows_is_unreachable() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    for resolver in (resolve, Rebinding([]), Rebinding(["nonsense"])):
        async with calling(resolver=resolver) as outbound:
            with pytest.raises(Unreachable, match=NAME):
                await outbound.send(post(f"https://{NAME}/"))


async def test_a_name_server_that_hangs_is_too_slow() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError("it hangs")

    async with calling(resolver=resolve, limits=limited(lookup_timeout_s=0.01)) as outbound:
        with pytest.raises(TooSlow, match="not resolved in time"):
            await outbound.send(post(f"https://{NAME}/"))


async def test_the_systems_resolver_is_asked_if_no_other_is_given(listener: Listener) -> None:
    async with calling("localhost") as outbound:
        with pytest.raises(Unreachable):
            await outbound.send(post(f"http://localhost:{listener.port}/"))
    assert listener.accepted == 1

    async with calling(f"{OUTSIDE}/32") as outbound:
        with pytest.raises(ForbiddenAddress, match="localhost"):
            await outbound.send(post(f"https://localhost:{listener.port}/"))
    assert listener.accepted == 1
