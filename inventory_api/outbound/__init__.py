"""Calls to other servers: the only part of the service that makes any."""
