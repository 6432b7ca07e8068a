"""Why a call to another server gave no reply."""

from typing import ClassVar


class OutboundError(Exception):
    """There is no reply.

    The message says why in words that may be shown: it has no address behind a name, no path,
    no query and no header in it.

    Attributes:
        code: the word for it in metrics, logs and reports.
        retry_after_s: seconds before which another attempt is useless; None if nobody knows.
    """

    code: ClassVar[str]

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class ForbiddenAddress(OutboundError):
    """The URL, or an address behind its name, is not one that may be called."""

    code = "forbidden_address"


class Unreachable(OutboundError):
    """No such name, nobody listens, the certificate is wrong, or the connection broke."""

    code = "unreachable"


class TooSlow(OutboundError):
    """A phase or the whole attempt took longer than it may."""

    code = "too_slow"


class TooLarge(OutboundError):
    """The body is longer than the caller wants to read."""

    code = "too_large"


class BadReply(OutboundError):
    """What came back is no HTTP, or is encoded although that was not asked for."""

    code = "bad_reply"


class Busy(OutboundError):
    """Our own limits, or a pause that the host asked for: nothing was sent."""

    code = "busy"


class BreakerOpen(OutboundError):
    """The host failed several times in a row, and is left alone for a while: nothing was sent."""

    code = "breaker_open"
