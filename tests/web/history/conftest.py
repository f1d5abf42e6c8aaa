"""An empty history on SQLite, and on PostgreSQL where its programs are installed: a private server for these tests.

The server listens on no port, lies in a folder of its own and goes with it. It refuses to run as root, so root starts
it as Debian's `postgres`, or as `nobody`.
"""

import io
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from web.history.database import Database, parse_url
from web.history.files import StudyFiles
from web.history.keeping import keep_study
from web.history.opening import Store
from web.history.records import KeptStudy, StudyFacts


def program(name: str) -> str | None:
    """Where a program of PostgreSQL lies: Debian keeps them out of the way, by version."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: int(file.parts[-3]))
    return str(debian[-1]) if debian else shutil.which(name)


def unprivileged() -> str | None:
    """The user that a server started by root runs as; None where we are not root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A running server's socket folder."""
    initdb, control = program("initdb"), program("pg_ctl")
    if initdb is None or control is None:
        pytest.skip("PostgreSQL is not installed (on Debian: apt-get install postgresql)")
    user = unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="hemoscope-pg-"))  # short: the path of a socket has 107 bytes at most
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"

    def run(*words: str) -> None:
        subprocess.run(words, check=True, user=user, cwd=folder, timeout=120, stdout=subprocess.DEVNULL)

    try:
        run(initdb, "--pgdata", str(data), "--username=hemoscope", "--auth=trust", "--encoding=UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c full_page_writes=off"
        run(control, "--pgdata", str(data), "--log", str(folder / "log"), "-w", "-t", "60", "-o", options, "start")
        try:
            yield str(folder)
        finally:
            run(control, "--pgdata", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'history.sqlite'}"
        return
    import psycopg

    socket = request.getfixturevalue("postgresql")
    with psycopg.connect(host=socket, user="hemoscope", dbname="postgres", autocommit=True) as server:
        server.execute("DROP SCHEMA public CASCADE")  # much quicker than a database for each test
        server.execute("CREATE SCHEMA public")
    yield f"postgresql://hemoscope@/postgres?host={socket}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(parse_url(database_url))
    made.upgrade()
    yield made
    made.close()


@pytest.fixture
def store(database: Database, tmp_path: Path) -> Store:
    return Store(database, StudyFiles(tmp_path / "studies"), "this process")


@pytest.fixture
def keep(store: Store) -> Callable[..., KeptStudy]:
    """Keep a study of one file; the file's content and facts of the header by name."""

    def kept(content: bytes = b"a slice", **facts: str) -> KeptStudy:
        return keep_study(store.database, store.files, [io.BytesIO(content)], StudyFacts(**facts))

    return kept
