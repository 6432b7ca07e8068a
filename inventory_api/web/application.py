"""The FastAPI application as this service uses it: one gate, declared routes, one schema."""

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from inventory_api.telemetry import Metrics
from inventory_api.web.call import Call
from inventory_api.web.description import PROBLEM_SCHEMA, JSONObject
from inventory_api.web.middleware import Gate, GateLimits, Traffic
from inventory_api.web.reply import Reply, json_reply
from inventory_api.web.routing import Route, Router

# FastAPI always brings the API of OpenTelemetry; without the SDK (the extra `otel`) nobody
# listens, but asking for listeners costs 4 µs per request.
OPENTELEMETRY_IS_INSTALLED = importlib.util.find_spec("opentelemetry.sdk") is not None
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """A FastAPI application of routes that declare who may call them.

    The lifespan sets `app.state.edge`, an `Edge`. FastAPI's own stack of middleware is left
    out: the gate does its work, and between the gate and a route nothing costs time.
    """

    def __init__(
        self,
        *,
        title: str,
        version: str,
        description: str,
        tags: Sequence[tuple[str, str]],
        lifespan: Lifespan | None = None,
        metrics: Metrics,
        traffic: Traffic,
        limits: GateLimits,
    ) -> None:
        super().__init__(
            title=title,
            version=version,
            description=description,
            openapi_tags=[{"name": name, "description": text} for name, text in tags],
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            telemetry=None if OPENTELEMETRY_IS_INSTALLED else NO_TELEMETRY,
            lifespan=lifespan,
        )
        self._metrics = metrics
        self._traffic = traffic
        self._limits = limits
        self._undeclared_on_purpose: list[BaseRoute] = []
        self._webhook_descriptions: dict[str, JSONObject] = {}

    def add(self, routers: Iterable[Router]) -> None:
        """Serves the routes of routers; the first added are found fastest."""
        for router in routers:
            self.router.routes.extend(router.routes)

    def add_public(self, routes: Iterable[BaseRoute]) -> None:
        """Serves routes that anyone may call and that the schema does not show."""
        for route in routes:
            self._undeclared_on_purpose.append(route)
            self.router.routes.append(route)

    def describe_webhooks(self, descriptions: Mapping[str, JSONObject]) -> None:
        """Shows in the schema what is sent to others, by the name of the event."""
        self._webhook_descriptions = dict(descriptions)

    def add_schema(self, path: str) -> None:
        """Serves the OpenAPI document of all routes."""
        schema = Router("schema")

        @schema.get(path, needs="public", hidden=True)
        async def openapi_document(_: Call) -> Reply:
            return json_reply(self.openapi())

        self.add([schema])

    def openapi(self) -> dict[str, Any]:
        """The document; `Problem` is described once."""
        document = super().openapi()
        for operation in (one for path in document["paths"].values() for one in path.values()):
            for parameter in operation.get("parameters", ()):
                # The docs page fills in a parameter's own example, not its schema's.
                if examples := parameter["schema"].pop("examples", None):
                    parameter["example"] = examples[0]
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = PROBLEM_SCHEMA
        if self._webhook_descriptions:
            document["webhooks"] = self._webhook_descriptions
        return document

    def build_middleware_stack(self) -> ASGIApp:
        """The gate before the router; called once, when the server starts.

        Raises:
            RuntimeError: a route does not declare who may call it.
        """
        for route in self.router.routes:
            if not isinstance(route, Route) and route not in self._undeclared_on_purpose:
                raise RuntimeError(f"{route!r} does not declare who may call it")
        return Gate(self.router, metrics=self._metrics, traffic=self._traffic, limits=self._limits)
