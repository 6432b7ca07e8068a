"""How the parameters of an endpoint are read from a request, derived once from its signature."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, get_args, get_type_hints

from fastapi.params import Query
from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response
from starlette.types import Scope

from inventory_api.web.call import Call
from inventory_api.web.parameters import QueryReader, path_value
from inventory_api.web.problems import Problem

Endpoint = Callable[..., Awaitable[Response | Problem]]


class Signature:
    """How an endpoint's parameters are read from a request."""

    def __init__(self, path: str, endpoint: Endpoint) -> None:
        hints = get_type_hints(endpoint, include_extras=True)
        call, *parameters = inspect.signature(endpoint).parameters.values()
        assert hints[call.name] is Call, f"{path}: the first parameter is the call"
        self.path: dict[str, TypeAdapter[Any]] = {}
        self.query: QueryReader[BaseModel] | None = None
        self.query_name = self.body_name = ""
        self.body: TypeAdapter[Any] | None = None
        self.body_is_optional = False
        for parameter in parameters:
            hint = hints[parameter.name]
            if "{" + parameter.name + "}" in path:
                self.path[parameter.name] = TypeAdapter(hint)
            elif _is_query(hint):
                self.query, self.query_name = QueryReader(get_args(hint)[0]), parameter.name
            else:
                assert self.body is None, f"{path}: {parameter.name} is a second body"
                self.body, self.body_name = TypeAdapter(hint), parameter.name
                self.body_is_optional = parameter.default is None

    def from_url(self, scope: Scope) -> dict[str, Any]:
        """The arguments that stand in the URL, checked."""
        arguments: dict[str, Any] = {}
        for name, reader in self.path.items():
            value = scope["path_params"][name]
            arguments[name] = path_value(reader, name, value, scope["raw_path"])
        if self.query is not None:
            arguments[self.query_name] = self.query.read(scope["query_string"])
        elif scope["query_string"]:
            NO_QUERY.read(scope["query_string"])
        return arguments


class _NoQuery(BaseModel, extra="forbid"):
    """The query of a path that takes none."""


NO_QUERY = QueryReader(_NoQuery)


def _is_query(hint: object) -> bool:
    return any(isinstance(mark, Query) for mark in getattr(hint, "__metadata__", ()))
