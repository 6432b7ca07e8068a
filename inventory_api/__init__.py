"""The inventory service that never oversells, never loses and explains every number."""

__version__ = "0.1.0"
