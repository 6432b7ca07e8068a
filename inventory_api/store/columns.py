"""What all tables have in common; columns, names, and how SQLite keeps them."""

from sqlalchemy import (
    BigInteger,
    Integer,
    LargeBinary,
    MetaData,
    Table as Core,
    Text,
)
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# STRICT tables of SQLite know INTEGER, TEXT and BLOB only.
Whole = BigInteger().with_variant(Integer, "sqlite")
# By its bytes, whatever the database's language is: names are compared and sorted alike everywhere.
Name = Text().with_variant(Text(collation="C"), "postgresql")
STRICT = {"sqlite_strict": True}
CLUSTERED = {"sqlite_strict": True, "sqlite_with_rowid": False}


class Table(DeclarativeBase):
    """Columns named `…_at` are microseconds since 1970 UTC; quantities are whole units."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {int: Whole, str: Name, bytes: LargeBinary}  # noqa: RUF012 - SQLAlchemy's


def table(row: type[Table]) -> Core:
    """The plain table behind a mapped one.

    Statements on it skip the ORM's loading, which cost 100 µs for each statement of a batch.
    """
    found = row.__table__
    assert isinstance(found, Core)
    return found
