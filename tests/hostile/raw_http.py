"""A client that sends any bytes, and reads answers as strictly as it can."""

import contextlib
import http.client
import json
import socket
import struct
from types import TracebackType
from typing import Any, NamedTuple, Self

JSON = Any  # Any: the body of an answer
TIMEOUT_S = 20.0


class Answer(NamedTuple):
    """One answer as it came over the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of a problem; it has to be one."""
        assert self.headers["content-type"] == "application/problem+json", self
        told: JSON = json.loads(self.body)
        assert told["status"] == self.status
        code: str = told["code"]
        return code


class Connection:
    """One TCP connection to the server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._reader.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; a server that has already refused them may have closed its side."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def answer(self, *, of_head: bool = False) -> Answer:
        """The next answer; 100 Continue counts as one."""
        version, status = self._reader.readline().split(b" ", 2)[:2]
        assert version == b"HTTP/1.1", version
        headers = {
            name.lower(): value for name, value in http.client.parse_headers(self._reader).items()
        }
        has_no_body = of_head or status in (b"100", b"204", b"304")
        return Answer(int(status), headers, b"" if has_no_body else self._body(headers))

    def is_at_end(self) -> bool:
        """Whether the server closes without another byte."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Vanish without a goodbye."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self._reader.read(int(headers["content-length"]))
        body = b""
        while size := int(self._reader.readline(), 16):
            body += self._reader.read(size)
            assert self._reader.read(2) == b"\r\n"
        assert self._reader.readline() == b"\r\n"
        return body


def request(
    target: str = "/livez", /, method: str = "GET", body: bytes | str = b"", **headers: str
) -> bytes:
    """A correct request; header names are written with underscores."""
    content = body.encode() if isinstance(body, str) else body
    given = {
        "Host": "127.0.0.1",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    if content and "Content-Length" not in given and "Transfer-Encoding" not in given:
        given["Content-Length"] = str(len(content))
    head = "".join(f"{name}: {text}\r\n" for name, text in given.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + content


def chunked(body: bytes, size: int) -> bytes:
    """A body in chunks of a size."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def exchange(port: int, data: bytes) -> Answer:
    """The first answer to some bytes on a connection of their own."""
    with Connection(port) as connection:
        connection.send(data)
        return connection.answer()
