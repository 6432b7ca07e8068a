"""How everything that can go wrong is told: RFC 9457 problem details."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import orjson
from pydantic_core import ErrorDetails, ValidationError

from inventory_api.domain.rejections import Code
from inventory_api.domain.unavailable import Unavailable
from inventory_api.web.problem_kinds import FIELD_EN, FIELD_ZH, KINDS, HTTPCode
from inventory_api.web.reply import RawHeader, Reply, reply

Language = Literal["en", "zh"]
Applied = Literal["yes", "no", "unknown"]
Facts = Mapping[str, Any]  # Any: JSON values, whatever the code needs

CONTENT_TYPE: RawHeader = (b"content-type", b"application/problem+json")
TYPE_PREFIX = "urn:inventory-api:problem:"
NO_FACTS: Facts = MappingProxyType({})
REQUEST_PREFIX = "urn:inventory-api:request:"
# 100 wrong fields are enough to find the mistake that a batch of 10,000 lines repeats.
INVALID_FIELDS_MAX = 100


class Problem(Exception):
    """A request that ends here, with everything its answer needs.

    Attributes:
        facts: members added to the answer; a finished JSON object may come as bytes.
        status: overrides the table's, for a refusal of several lines.
    """

    def __init__(
        self,
        code: str,
        facts: Facts | bytes = NO_FACTS,
        *,
        status: int | None = None,
        applied: Applied = "no",
        headers: Iterable[RawHeader] = (),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts
        self.status = status
        self.applied = applied
        self.headers = headers


class InvalidField(NamedTuple):
    """One wrong part of a request: where, a word for why, and a sentence in each language."""

    field: str
    code: str
    message: str
    message_zh: str


class Invalid(Problem):
    """A well-formed request with wrong fields, each of them named."""

    def __init__(self, fields: Sequence[InvalidField]) -> None:
        super().__init__(HTTPCode.VALIDATION_ERROR)
        self.fields = fields

    def told(self, language: Language) -> Facts:
        """The facts in a language; `fields` is for the detail only."""
        shown = self.fields[:INVALID_FIELDS_MAX]
        return {
            "errors": [
                {
                    "field": wrong.field,
                    "code": wrong.code,
                    "message": wrong.message_zh if language == "zh" else wrong.message,
                }
                for wrong in shown
            ],
            "errors_omitted": len(self.fields) - len(shown),
        }


def invalid(field: str, message: str, message_zh: str, *, code: str = "value_error") -> Invalid:
    """A refusal of one field."""
    return Invalid([InvalidField(field, code, message, message_zh)])


def from_pydantic(error: ValidationError, *, within: str | None = None) -> Invalid:
    """The refusal that names each wrong field by its JSON path, and never shows its value."""
    start = () if within is None else (within,)
    errors = error.errors(include_url=False, include_input=False)
    return Invalid([_field(detail, start) for detail in errors])


def from_unavailable(error: Unavailable) -> Problem:
    """The answer to a request that cannot be served now, with the time to retry."""
    return Problem(error.code, applied=error.applied, headers=[retry_after(error.retry_after_s)])


def from_outcome(code: Code, facts: Facts | bytes, *, status: int | None = None) -> Problem:
    """The answer to a refused change; `status` is 409 for a refusal of several lines."""
    return Problem(code, facts, status=status)


def unauthorized() -> Problem:
    """The answer to a missing, malformed, unknown, expired or revoked API key: always the same."""
    return Problem(HTTPCode.UNAUTHORIZED, headers=[(b"www-authenticate", b"Bearer")])


def retry_after(seconds: int) -> RawHeader:
    """The header that tells when a retry is worth it."""
    return (b"retry-after", b"%d" % seconds)


def title(code: str, language: Language) -> str:
    """The name of a problem, for a line of a batch that has no answer of its own."""
    kind = KINDS[code]
    return kind.title_zh if language == "zh" else kind.title


def detail(code: str, language: Language) -> str:
    """The sentence on a problem, for a line of a batch that has no answer of its own."""
    kind = KINDS[code]
    return kind.detail_zh if language == "zh" else kind.detail


def field_path(location: tuple[int | str, ...]) -> str:
    """The JSON path of a field, such as `lines[3].delta`; `body` is the whole."""
    path = ""
    for step in location:
        if step == "[key]":  # Pydantic's mark: the name itself is wrong, not its value
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{_name(step)}"
    return path.removeprefix(".") or "body"


def language_of(accept_language: bytes) -> Language:
    """The better accepted of the two languages, English when it makes no difference."""
    best: tuple[float, Language] = (0.0, "en")
    for entry in accept_language.decode("latin-1").lower().split(","):
        tag, _, parameter = entry.partition(";")
        primary = tag.strip().partition("-")[0]
        quality = _quality(parameter)
        if primary in ("en", "zh") and quality > best[0]:
            best = (quality, "zh" if primary == "zh" else "en")
    return best[1]


def problem_reply(problem: Problem, *, request_id: str, language: Language) -> Reply:
    """The problem as an answer in `application/problem+json`."""
    kind = KINDS[problem.code]
    status = problem.status or kind.status
    facts = problem.told(language) if isinstance(problem, Invalid) else problem.facts
    envelope = {
        "type": TYPE_PREFIX + problem.code,
        "title": title(problem.code, language),
        "status": status,
        "detail": _filled(detail(problem.code, language), problem),
        "instance": REQUEST_PREFIX + quote(request_id),
        "code": problem.code,
        "applied": problem.applied,
        "retryable": kind.retryable,
        "request_id": request_id,
    }
    return reply(
        _joined(
            orjson.dumps(envelope), facts if isinstance(facts, bytes) else orjson.dumps(dict(facts))
        ),
        status=status,
        content_type=CONTENT_TYPE,
        headers=[(b"content-language", language.encode()), *problem.headers],
    )


def _filled(sentence: str, problem: Problem) -> str:
    if not isinstance(problem, Invalid):
        return sentence
    names = dict.fromkeys(wrong.field for wrong in problem.fields)
    shown = ", ".join(list(names)[:5])
    return sentence.format(fields=shown + (", …" if len(names) > 5 else ""))


def _joined(envelope: bytes, facts: bytes) -> bytes:
    return envelope if facts == b"{}" else envelope[:-1] + b"," + facts[1:]


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _field(error: ErrorDetails, start: tuple[str, ...]) -> InvalidField:
    kind = error["type"]
    message = FIELD_EN.get(kind, error["msg"])
    translated = FIELD_ZH.get(kind)
    message_zh = translated.format(**error.get("ctx", {})) if translated else message
    return InvalidField(field_path(start + error["loc"]), kind, message, message_zh)


def _name(step: str) -> str:
    # The name of an unknown field is the caller's text: shown only if it can do no harm.
    harmless = step.isascii() and step.replace("_", "").replace("-", "").isalnum()
    return step if harmless and len(step) <= 64 else "(unknown)"
