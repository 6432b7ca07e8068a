"""TLS is about the name, whatever address was connected to."""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from inventory_api.outbound.errors import Unreachable
from tests.outbound.certificates import make_certificate, serving
from tests.outbound.peer import Peer, calling, get, reply

NETWORK = "127.0.0.0/8"


async def resolve(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), "hooks.example")


async def test_the_name_is_asked_for_checked_and_sent_although_the_address_is_pinned(
    certificate: Path,
) -> None:
    tls = serving(certificate)
    names: list[str | None] = []
    tls.sni_callback = lambda _, name, __: names.append(name)
    async with (
        Peer(reply(), tls=tls) as peer,
        calling(NETWORK, resolver=resolve, ca_file=certificate) as outbound,
    ):
        answer = await outbound.send(get(f"https://hooks.example:{peer.port}/"))

    assert answer.status == 200
    assert names == ["hooks.example"]
    assert f"host: hooks.example:{peer.port}\r\n".encode() in peer.requests[0].lower()


@pytest.mark.parametrize(
    ("host", "is_trusted", "reason"),
    [
        ("other.example", True, "certificate is not accepted: Hostname mismatch"),
        ("hooks.example", False, "certificate is not accepted: self"),
    ],
    ids=["of another name", "of nobody known"],
)
async def test_a_certificate(certificate: Path, host: str, is_trusted: bool, reason: str) -> None:
    ca_file = certificate if is_trusted else None
    async with (
        Peer(reply(), tls=serving(certificate)) as peer,
        calling(NETWORK, resolver=resolve, ca_file=ca_file) as outbound,
    ):
        with pytest.raises(Unreachable, match=reason):
            await outbound.send(get(f"https://{host}:{peer.port}/", retries=0))

    assert peer.requests == []


async def test_a_server_without_tls_is_told_apart(certificate: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server, calling(NETWORK, resolver=resolve, ca_file=certificate) as outbound:
        with pytest.raises(Unreachable, match="no TLS connection"):
            await outbound.send(get(f"https://hooks.example:{port}/", retries=0))


async def test_a_file_without_certificates_is_known_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")

    with pytest.raises((ssl.SSLError, OSError)):
        async with calling(ca_file=tmp_path / "empty.pem"):
            pass
    with pytest.raises(FileNotFoundError):
        async with calling(ca_file=tmp_path / "none.pem"):
            pass
