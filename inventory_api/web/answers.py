"""From outcomes to answers, and from a request to the key under which it is remembered."""

import hashlib
from collections.abc import Iterable

import orjson

from inventory_api.domain.outcome import IdempotencyKey, Outcome
from inventory_api.domain.rejections import Code
from inventory_api.web.call import Call
from inventory_api.web.problem_kinds import HTTPCode
from inventory_api.web.problems import Problem, from_outcome
from inventory_api.web.reply import RawHeader, Reply, reply

REPLAYED: RawHeader = (b"idempotent-replayed", b"true")


def key_of(call: Call, body: object) -> IdempotencyKey | None:
    """The request's idempotency key with a digest of what is asked: method, path and body."""
    if call.key is None:
        return None
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{call.method} {call.scope['path']}\n".encode())
    digest.update(orjson.dumps(body))
    return IdempotencyKey(call.key, digest.digest())


def answered(
    outcome: Outcome,
    *,
    status: int = 200,
    refused_status: int | None = None,
    headers: Iterable[RawHeader] = (),
) -> Reply | Problem:
    """The answer to a write.

    `refused_status` overrides the table's, for a refusal that lists several lines.
    """
    told = [*headers, REPLAYED] if outcome.replayed else [*headers]
    if outcome.refused is not None:
        override = None if outcome.refused is Code.IDEMPOTENCY_MISMATCH else refused_status
        problem = from_outcome(outcome.refused, outcome.answer, status=override)
        problem.headers = told
        return problem
    if outcome.etag is not None:
        told.append(etag(outcome.etag))
    return reply(outcome.answer, status=status, headers=told)


def etag(tag: object) -> RawHeader:
    """The ETag header of a version."""
    return (b"etag", f'"{tag}"'.encode())


def require_locations(call: Call, locations: Iterable[str]) -> None:
    """Refuse what names a location that the caller's key does not allow."""
    allowed = call.principal.locations
    if allowed is not None and not allowed.issuperset(locations):
        raise Problem(HTTPCode.FORBIDDEN, {"locations": sorted(allowed)})
