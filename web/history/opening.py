"""The door to the history: opened when it is first needed, since SQLAlchemy takes longer to load than the server.

In: settings and the instance folder. Out: an open `Store`: the database, brought to this version, and the folder.
"""

import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from web.settings import Settings

if TYPE_CHECKING:
    from web.history.database import Database
    from web.history.deidentify import Deidentifier
    from web.history.files import StudyFiles
    from web.history.records import Removed

DATABASE_FILE, STUDIES_FOLDER = "history.sqlite", "studies"


@dataclass(frozen=True)
class Store:
    """The open history; the functions of this package take its two parts.

    Attributes:
        database: rows.
        files: the folder of studies.
        worker: a name of this process, unlike any other's, for `jobs`.
        deidentifier: removes identities on the way in; None where the setting does not ask for it.
    """

    database: "Database"
    files: "StudyFiles"
    worker: str
    deidentifier: "Deidentifier | None" = None


class History:
    """The history of one application. Making it does nothing; `store` opens it once, whatever the thread."""

    def __init__(self, settings: Settings, instance: Path) -> None:
        self._settings, self._instance = settings, instance
        self._lock = threading.Lock()
        self._store: Store | None = None

    def store(self) -> Store:
        """Open the history, or give what is open.

        Raises:
            ValueError: for a database URL that cannot be read.
            sqlalchemy.exc.SQLAlchemyError: where the database cannot be reached.
            OSError: where its folder cannot be made.
        """
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    def tidy(self) -> "tuple[Removed, ...]":
        """Remove what is older than the setting allows and what dead processes left, and mark their jobs.

        Returns:
            The studies that were removed.
        """
        from web.history.jobs import mark_interrupted
        from web.history.keeping import remove_expired, remove_strays

        store, now = self.store(), datetime.now(UTC)
        mark_interrupted(store.database, now)
        remove_strays(store.database, store.files)
        removed = remove_expired(store.database, store.files, self._settings.retention_days, now)
        store.database.forget_freed()  # once more: a reader may have kept an earlier deletion from it
        return removed

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        with self._lock:
            if self._store is not None:
                self._store.database.close()
                self._store = None

    def _open(self) -> Store:
        from web.history.database import Database, parse_url
        from web.history.files import StudyFiles

        written = self._settings.database_url
        if not written:
            self._instance.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = f"sqlite:///{self._instance / DATABASE_FILE}"
        url = parse_url(written)
        if url.get_backend_name() == "sqlite" and url.database is not None:
            Path(url.database).touch(mode=0o600)  # for its owner only; SQLite gives its journal the same rights
        database = Database(url)
        database.upgrade()
        folder = Path(self._settings.studies_folder or self._instance / STUDIES_FOLDER)
        files = StudyFiles(folder.absolute())
        return Store(database, files, secrets.token_hex(16), self._deidentifier(files.root))

    def _deidentifier(self, folder: Path) -> "Deidentifier | None":
        if not self._settings.deidentify:
            return None
        from web.history.deidentify import Deidentifier, read_key

        return Deidentifier(read_key(folder))
