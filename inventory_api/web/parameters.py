"""The strict reading of what stands in a URL: each name once, each value in one spelling."""

import re
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, get_args
from urllib.parse import parse_qsl

from pydantic import BaseModel, TypeAdapter, ValidationError

from inventory_api.web.problems import (
    Invalid,
    InvalidField,
    field_path,
    from_pydantic,
    invalid,
)

M = TypeVar("M", bound=BaseModel)
PARAMETERS_MAX = 50

# What Pydantic takes for an integer or a boolean is more than one spelling: " 1", "1_0", "yes".
_SPELLINGS = {
    int: (re.compile(r"-?[0-9]+"), InvalidField("", "int_parsing", "must be digits", "必须是整数")),
    bool: (
        re.compile(r"true|false"),
        InvalidField("", "bool_parsing", "must be true or false", "必须是 true 或 false"),
    ),
}


class QueryReader(Generic[M]):
    """Reads a query string into a model; the model's fields are all the names there are."""

    def __init__(self, model: type[M]) -> None:
        assert model.model_config.get("extra") == "forbid", f"{model.__name__} takes unknown names"
        self._model = model
        self._default = model.model_validate_strings({}) if _all_optional(model) else None
        self._spellings = dict(_spellings(model))

    def read(self, query: bytes) -> M:
        """The model of a query string.

        Raises:
            Invalid: naming each unknown, repeated, undecodable or wrong parameter.
        """
        if not query and self._default is not None:
            return self._default
        values = _pairs(query)
        wrong = [field for name in values if (field := self._misspelt(name, values[name]))]
        if wrong:
            raise Invalid(wrong)
        try:
            return self._model.model_validate_strings(values, strict=True)
        except ValidationError as error:
            raise from_pydantic(error) from error

    def _misspelt(self, name: str, value: str) -> InvalidField | None:
        if name not in self._spellings:
            return None
        spelling, wrong = _SPELLINGS[self._spellings[name]]
        return None if spelling.fullmatch(value) else wrong._replace(field=name)


def path_value(reader: TypeAdapter[Any], name: str, value: str, raw_path: bytes) -> Any:
    """One checked part of a path.

    Raises:
        Invalid: naming the parameter.
    """
    # The server shows undecodable bytes as U+FFFD, which would reach another resource.
    if "\ufffd" in value and b"%EF%BF%BD" not in raw_path.upper():
        raise invalid(name, "must be UTF-8", "必须是 UTF-8")
    try:
        return reader.validate_python(value, strict=True)
    except ValidationError as error:
        raise from_pydantic(error, within=name) from error


def _all_optional(model: type[BaseModel]) -> bool:
    return not any(field.is_required() for field in model.model_fields.values())


def _spellings(model: type[BaseModel]) -> Iterator[tuple[str, type[int] | type[bool]]]:
    for name, field in model.model_fields.items():
        kinds = set(_types(field.annotation))
        for kind in (bool, int):
            if kind in kinds:
                yield field.alias or name, kind


def _types(annotation: object) -> Iterator[object]:
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _pairs(query: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError as error:
        raise invalid(
            "query", "must be at most 50 parameters in UTF-8", "必须是最多 50 个 UTF-8 参数"
        ) from error
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise _repeated(name for name in values if names.count(name) > 1)
    return values


def _repeated(names: Iterator[str]) -> Invalid:
    return Invalid(
        [
            InvalidField(field_path((name,)), "repeated", "must not be repeated", "不得重复")
            for name in names
        ]
    )
