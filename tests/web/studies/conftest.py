"""An application with a history of its own, whose worker does nothing until a test lets it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.studies.series import series
from web.history.opening import Store
from web.studies.working import Worker

HEIGHTS_MM = [0.0, 5.0, 10.0, 15.0]


@pytest.fixture
def make_studies_app(make_app: Callable[..., Flask], tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    made: list[Flask] = []

    def make(**settings: object) -> Flask:
        places = {
            "database_url": f"sqlite:///{tmp_path / 'history.sqlite'}",
            "studies_folder": str(tmp_path / "studies"),
        }
        made.append(make_app(**places | settings))
        return made[-1]

    yield make
    for app in made:
        app.extensions["worker"].end()
        app.extensions["history"].close()


@pytest.fixture
def app(make_studies_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch) -> Flask:
    """Nothing works in the background: a test calls `worker.work()`."""
    monkeypatch.setattr(Worker, "wake", lambda self: None)
    return make_studies_app()


@pytest.fixture
def store(app: Flask) -> Store:
    opened: Store = app.extensions["history"].store()
    return opened


@pytest.fixture
def worker(app: Flask) -> Worker:
    found: Worker = app.extensions["worker"]
    return found


def a_study(uid: str = "1.2.3", **changes: object) -> list[bytes]:
    """Four slices with blood; `changes` set keywords of the header."""
    return series(HEIGHTS_MM, uid=f"{uid}.1", StudyInstanceUID=uid, FrameOfReferenceUID="1.2.9", **changes)
