"""Teaches schemathesis the media types of imports; it loads this file as its hooks."""

import schemathesis

schemathesis.serializer.alias(["text/csv", "application/x-ndjson"], "text/plain")
