"""Column types that behave the same on SQLite and PostgreSQL.

In: Python values. Out: what the database stores, and the same values back.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.types import TypeDecorator


class MomentUTC(TypeDecorator[datetime]):
    """An aware moment; stored in UTC, given back in UTC. SQLite knows no zones, so it is added there."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def plain(text: str, longest: int) -> str:
    """Text from a header as it is stored: without control characters (PostgreSQL refuses NUL), cut to `longest`."""
    return "".join(letter for letter in text if letter.isprintable()).strip()[:longest]
