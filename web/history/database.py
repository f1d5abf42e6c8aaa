"""The connection to the database: SQLite in a file, or PostgreSQL.

In: a URL. Out: sessions, for reading or for writing; the tables are brought to this version first.
Messages of errors hold no parameters of a statement: those name patients.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

BUSY_SECONDS = 30  # that SQLite waits for another process's transaction; ours take milliseconds
WAL_RETRY_SECONDS = 0.02
MIGRATION_LOCK = 0x48454D4F  # "HEMO", among PostgreSQL's advisory locks


def parse_url(written: str) -> URL:
    """Read a database's URL, in the spellings that hosts give (`postgres://`, `postgresql://`, `sqlite:///`).

    Raises:
        ValueError: for any other; the message never quotes it, since it may hold a password.
    """
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        raise ValueError("the database's URL cannot be read; one looks like postgresql://user@host/name") from None
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise ValueError(f"the database must be PostgreSQL or a SQLite file, got {url.drivername}")


class Database:
    """An engine and its transactions. Safe to share between threads."""

    def __init__(self, url: URL) -> None:
        self.on_sqlite = url.get_backend_name() == "sqlite"
        self._engine = _sqlite_engine(url) if self.on_sqlite else _postgresql_engine(url)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with Session(self._engine) as session:
            yield session

    @contextmanager
    def writing(self, lock: str = "") -> Iterator[Session]:
        """A session that is committed at the end, or rolled back where an exception leaves it.

        Args:
            lock: hexadecimal; of two transactions with the same one, the second waits for the first. On SQLite there is
                one writer at a time anyway.
        """
        with Session(self._writer()) as session, session.begin():
            if lock and not self.on_sqlite:
                session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": int(lock[:15], 16)})
            yield session

    def upgrade(self, revision: str = "head") -> None:
        """Bring the tables to a revision, this version's by default; workers that start together wait in line."""
        with self._writer().begin() as connection:
            self._migrate(connection, "upgrade", revision)

    def downgrade(self, revision: str) -> None:
        """Take the tables back to a revision, `base` for none."""
        with self._writer().begin() as connection:
            self._migrate(connection, "downgrade", revision)

    def forget_freed(self) -> None:
        """Make SQLite write its journal into the file: what was deleted is then overwritten with zeros.

        PostgreSQL keeps dead rows until it vacuums, by itself; its own logs and backups are its operator's.
        """
        if self.on_sqlite:
            with self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _writer(self) -> Engine:
        return self._engine.execution_options(hemoscope_writes=True)

    def _migrate(self, connection: Connection, direction: str, revision: str) -> None:
        from alembic import command
        from alembic.config import Config

        if not self.on_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)


def _postgresql_engine(url: URL) -> Engine:
    return create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=4)


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself; `begin` below does
        connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL the file stays whole when power fails
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten with zeros

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer that began as a reader can fail instead of wait, when another wrote in between.
        writes = connection.get_execution_options().get("hemoscope_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(connection: Any) -> None:
    """Switch to the journal in which readers do not wait for a writer.

    Of several that open a new file at once SQLite lets one switch and refuses the others at once, busy_timeout or not.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(WAL_RETRY_SECONDS)
