"""An application with a history in the test's own folder, and a way to fill it without reading anything."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from web.history.keeping import keep_study
from web.history.opening import Store
from web.history.readings import store_reading
from web.history.records import ReadingFacts, StudyFacts

Add = Callable[..., int]


@pytest.fixture
def history_settings(tmp_path: Path) -> dict[str, object]:
    return {"database_url": f"sqlite:///{tmp_path / 'history.sqlite'}", "studies_folder": str(tmp_path / "studies")}


@pytest.fixture
def history_app(make_app: Callable[..., Flask], history_settings: dict[str, object]) -> Any:
    made = make_app(**history_settings)
    yield made
    made.extensions["history"].close()


@pytest.fixture
def store(history_app: Flask) -> Store:
    opened: Store = history_app.extensions["history"].store()
    return opened


@pytest.fixture
def add(store: Store) -> Add:
    """Keep a study of one file and what was read in it; gives its number. Facts are those of the header."""
    made = 0

    def added(
        finding: str | None = None,
        volume_ml: float | None = None,
        *,
        uncertainty_ml: float | None = None,
        any_probability: float = 0.75,
        warnings: tuple[str, ...] = (),
        **facts: str,
    ) -> int:
        nonlocal made
        made += 1
        content = io.BytesIO(f"slice {made}".encode())
        number = keep_study(store.database, store.files, [content], StudyFacts(**facts), warnings=warnings).number
        if finding is not None:
            reading: Any = ("reader", "1.2.3", finding, {"any": any_probability}, volume_ml, uncertainty_ml)
            store_reading(store.database, number, ReadingFacts(*reading))
        return number

    return added
