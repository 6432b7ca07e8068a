"""How the connection to a database server is encrypted."""

import ssl
from pathlib import Path
from typing import Literal

TLS = Literal["disable", "prefer", "require", "verify-full"]


def context_of(tls: TLS, ca_file: Path | None) -> ssl.SSLContext | str:
    """What asyncpg takes: a context that checks the server, or a word for less.

    A certificate authority of one's own is no use to a mode that checks nothing: naming one
    without `verify-full` is refused.
    """
    if tls == "verify-full":
        return ssl.create_default_context(cafile=ca_file)
    if ca_file is not None:
        raise ValueError("INVENTORY_DATABASE_TLS_CA_FILE needs INVENTORY_DATABASE_TLS=verify-full.")
    return tls
