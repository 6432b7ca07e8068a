"""What is sent to another server, and what comes back."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from inventory_api.outbound.limits import HostLimits
from inventory_api.outbound.retrying import IDEMPOTENT

Purpose = Literal["webhook", "supplier"]
"""Why a call is made: a label of the metrics, so there are few of them."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|")
# They say how the message is sent, which is not the caller's business.
_OWN = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """One call.

    Attributes:
        url: judged again at each attempt.
        headers: besides those that say how the message is sent; never logged.
        limits: what this host can bear; left out: the settings. Calls with equal limits and
            purpose share them per host and port.
        owner: whose place on the host this is. Where several share a host, each has a breaker of his
            own and keeps the pauses that he is asked for himself, so that one who is dead stops none
            of the others. Left out: the whole host is one.
        idempotent: whether it may be sent twice; left out: as its method says.
        retries: attempts after the first; left out: the setting if it is idempotent, else none.
        body_bytes_max: bytes of the reply that are read; left out: the setting.
        deadline_s: seconds that an attempt may wait for the other server, in all; left out:
            the setting. What the caller does between two pieces of a stream is not counted.
        read_timeout_s: seconds of silence that an attempt bears; left out: the setting.
        only_status: the reply's body is not wanted: it is read so that the connection can be used
            again, and if that goes wrong, or it is too long, it is cut off and the status stands.

    Raises:
        ValueError: a header can't be sent; the message names it.
    """

    method: str
    url: str
    purpose: Purpose
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    limits: HostLimits | None = None
    owner: str = ""
    idempotent: bool | None = None
    retries: int | None = None
    body_bytes_max: int | None = None
    deadline_s: float | None = None
    read_timeout_s: float | None = None
    only_status: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.method) or self.method == "CONNECT":
            raise ValueError("the method is no HTTP method")
        for name, value in self.headers.items():
            check_header(name, value)

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.method in IDEMPOTENT if self.idempotent is None else self.idempotent


@dataclass(frozen=True, slots=True)
class OutboundReply:
    """What came back, whole.

    Attributes:
        headers: by names in lower case; repeated ones joined by commas.
        retry_after_s: seconds that the reply asks to wait, bounded; None if it does not.
        is_cut: the body is not whole, which only `only_status` lets happen.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    retry_after_s: float | None
    is_cut: bool


def check_header(name: str, value: str) -> None:
    """Refuse what can't be sent as a header, or must not be set by a caller.

    Raises:
        ValueError: the message names the header, and never shows the value.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if name.lower() in _OWN:
        raise ValueError(f"the header {name} is set by the client itself")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of {name} has other characters than printable ASCII")
