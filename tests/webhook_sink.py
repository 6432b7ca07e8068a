"""Receivers that are well, in a process of their own: so many ports, and what came to each.

`python -m tests.webhook_sink <count>` prints its ports, and when its input ends what it has got.
"""

import asyncio
import json
import re
import sys
import time
from datetime import datetime
from typing import Any

_LENGTH = re.compile(rb"content-length: (\d+)")
_ID = re.compile(rb"webhook-id: evt_(\d+)_")
_RECORDED = re.compile(rb'"timestamp":"([^"]+)"')
_OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """What came to one port: numbers in the order in which they came, and how late."""

    def __init__(self) -> None:
        self.last = 0
        self.in_order = True
        self.repeated = 0
        self.count = 0
        self.lags_ms: list[int] = []

    def got(self, seq: int, recorded: bytes) -> None:
        recorded_s = datetime.fromisoformat(recorded.decode()).timestamp()
        self.lags_ms.append(round((time.time() - recorded_s) * 1_000))
        if seq <= self.last:
            self.repeated += 1
            return
        self.in_order &= seq == self.last + 1
        self.last = seq
        self.count += 1

    def told(self) -> dict[str, Any]:  # Any: JSON values
        return {
            "count": self.count,
            "in_order": self.in_order,
            "repeated": self.repeated,
            "lags_ms": self.lags_ms,
        }


class Connection(asyncio.Protocol):
    """Reads requests one after the other and says yes to each."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:end]
            length = _LENGTH.search(head)
            behind = end + 4 + (int(length[1]) if length else 0)
            if len(self._unread) < behind:
                return
            body, self._unread = self._unread[end + 4 : behind], self._unread[behind:]
            named, recorded = _ID.search(head), _RECORDED.search(body)
            assert named is not None
            assert recorded is not None
            self._receiver.got(int(named[1]), recorded[1])
            self._transport.write(_OK)


async def serve(count: int) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    receivers = [Receiver() for _ in range(count)]
    ports = []
    for receiver in receivers:
        server = await loop.create_server(
            lambda receiver=receiver: Connection(receiver),  # type: ignore[misc]  # mypy's
            "127.0.0.1",
            0,
        )
        ports.append(server.sockets[0].getsockname()[1])
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        assert line == "how many\n"
        sys.stdout.write(json.dumps([one.count for one in receivers]) + "\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps([one.told() for one in receivers]) + "\n")


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
