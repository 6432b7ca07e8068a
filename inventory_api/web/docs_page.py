"""The docs page: Swagger UI out of an installed package, so that it works with no internet."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

START_SCRIPT = Path(__file__).with_name("docs_page.js")

# Every address is relative, so that the page also works below a proxy's path prefix.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/assets/favicon.png">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

# Swagger UI draws its icons from data: URLs. Nothing remote and nothing inline may load or run.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def docs_routes(*, title: str) -> Sequence[BaseRoute]:
    """The routes of `/docs`: open to everyone who reaches the service, absent from the schema."""
    page = PAGE.format(title=escape(title))

    async def docs_page(_: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    async def start_script(_: Request) -> Response:
        return FileResponse(START_SCRIPT, media_type="text/javascript")

    return [
        Route("/docs", docs_page),
        Route("/docs/start.js", start_script),
        Mount("/docs/assets", StaticFiles(packages=[("fastapi_offline", "static")])),
    ]
