"""Why a pull ends without its list."""


class PullFailed(Exception):
    """The list can't be used.

    The message may be shown: nothing of a URL's path or query, of a header or of a secret is in it.

    Attributes:
        code: the word for it in reports and logs.
        retry_after_s: seconds before which another pull is useless; None if nobody knows.
        is_cut: whether what came before is right and only the rest is missing.
    """

    def __init__(
        self, code: str, reason: str, *, retry_after_s: float | None = None, is_cut: bool = False
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_after_s = retry_after_s
        self.is_cut = is_cut


class Truncated(PullFailed):
    """The list ends before its end."""

    def __init__(self, reason: str) -> None:
        super().__init__("truncated", reason, is_cut=True)


class Malformed(PullFailed):
    """What came is not in the declared format."""

    def __init__(self, reason: str) -> None:
        super().__init__("malformed", reason)
