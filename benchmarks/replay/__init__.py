"""A year of a real shop, sent through the HTTP interface and compared with its file."""
