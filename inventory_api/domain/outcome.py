"""What a write answers: the same today as on every retry."""

from typing import NamedTuple

from inventory_api.domain.rejections import Code


class IdempotencyKey(NamedTuple):
    """An idempotency key of a caller, and what was asked under it.

    Attributes:
        fingerprint: digest of the request; another request under the same key is refused.
    """

    key: str
    fingerprint: bytes


class Outcome(NamedTuple):
    """The remembered end of a write.

    Attributes:
        answer: UTF-8 JSON: the answer's body, or, if `refused`, the facts of the refusal.
        etag: entity tag of the resource that the answer shows, if it has one; no quotes.
        replayed: whether this is the outcome of an earlier request.
    """

    answer: bytes
    refused: Code | None = None
    etag: str | None = None
    replayed: bool = False
