"""What the service costs on PostgreSQL, beside honest references on the same server."""
