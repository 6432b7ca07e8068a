"""API keys: made by an admin, shown once, revoked at once."""

from collections.abc import Callable
from typing import Annotated

import orjson
from fastapi import Query
from starlette.responses import Response

from inventory_api.domain.outcome import Outcome
from inventory_api.domain.principal import APIKey
from inventory_api.domain.rejections import Code
from inventory_api.domain.types import Instant
from inventory_api.store.database import Session
from inventory_api.store.keys import (
    PREFIX,
    create_key,
    digest_of,
    find_key,
    list_keys,
    new_id,
    new_secret,
    revoke_key,
    show_key,
)
from inventory_api.web.answers import answered, key_of
from inventory_api.web.call import Call
from inventory_api.web.paging import cursor_after, page, position_of
from inventory_api.web.problems import Problem, invalid
from inventory_api.web.reply import json_reply
from inventory_api.web.routing import Router
from inventory_api.web.schemas import ID, KeyBody, Page
from inventory_api.web.shapes import KeyAnswer, KeyList, NewKeyAnswer

router = Router("API keys")


@router.post(
    "/v1/api-keys",
    needs="admin",
    answer=NewKeyAnswer,
    status=201,
    example={"name": "owner", "scopes": ["admin"]},
)
async def create_an_api_key(call: Call, body: KeyBody) -> Response | Problem:
    """Make an API key.

    `key` is shown in this answer and never again: not in lists, and not to a retry with the same
    Idempotency-Key, which gets null. The first key closes a service that was open on loopback, so
    it must be an admin's that does not expire: nobody else could make the next.
    """
    key_id, secret = new_id(), new_secret()
    locations = body.get("locations")
    if locations is not None and "admin" in body["scopes"]:
        message = "must be left out: who makes keys is limited by nothing"
        raise invalid("locations", message, "管理员密钥不能限制位置")
    if call.service.keyring.is_empty and ("admin" not in body["scopes"] or body.get("expires_at")):
        message = "the first key must be an admin's that does not expire"
        raise invalid("scopes", message, "第一个密钥必须是不过期的管理员密钥")
    made: list[APIKey] = []

    async def work(session: Session, now: Instant) -> Outcome:
        key = APIKey(
            id=key_id,
            name=body["name"],
            secret_sha256=digest_of(secret),
            scopes=orjson.dumps(sorted(set(body["scopes"]))).decode(),
            locations=None if locations is None else orjson.dumps(sorted(set(locations))).decode(),
            created_at=now,
            expires_at=body.get("expires_at"),
            revoked_at=None,
        )
        made.append(key)
        return await create_key(session, key)

    outcome = await call.service.transact(
        work,
        actor=call.principal.id,
        key=key_of(call, body),
        after_commit=_known_from_now_on(call, made),
    )
    if outcome.refused is None:
        shown = orjson.loads(outcome.answer)
        is_mine = shown["id"] == key_id
        shown["key"] = f"{PREFIX}_{key_id}_{secret}" if is_mine else None
        outcome = outcome._replace(answer=orjson.dumps(shown))
    return answered(outcome, status=201)


@router.get("/v1/api-keys", needs="admin", answer=KeyList)
async def list_the_api_keys(call: Call, query: Annotated[Page, Query()]) -> Response:
    """List API keys, without their secrets."""
    (after,) = position_of(query.cursor, "")
    async with call.service.reading() as session:
        keys = await list_keys(session, after=after, limit=query.limit)
    cursor = cursor_after(keys[-1].id) if keys else None
    return json_reply(page([show_key(key) for key in keys], query.limit, cursor))


@router.delete("/v1/api-keys/{key_id}", needs="admin", answer=KeyAnswer, errors=(Code.UNKNOWN_ID,))
async def revoke_an_api_key(call: Call, key_id: ID) -> Response | Problem:
    """Revoke an API key, effective with the next request."""
    revoked: list[APIKey] = []

    async def work(session: Session, now: Instant) -> Outcome:
        outcome = await revoke_key(session, key_id, now)
        key = await find_key(session, key_id)
        revoked.extend([] if key is None else [key])
        return outcome

    outcome = await call.service.transact(
        work,
        actor=call.principal.id,
        key=key_of(call, None),
        after_commit=_known_from_now_on(call, revoked),
    )
    return answered(outcome)


def _known_from_now_on(call: Call, keys: list[APIKey]) -> Callable[[Outcome], None]:
    """Tell the keyring when a key is committed, whether the request still waits or not."""
    keyring = call.service.keyring

    def tell(_: Outcome) -> None:
        for key in keys:
            keyring.put(key)

    return tell
