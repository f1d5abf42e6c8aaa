"""The viewer gets kept studies from the disk as it gets held ones from memory."""

from pathlib import Path

import numpy as np
import pytest
from flask import Flask

from hemoscope.studies import read_studies, read_volume, received
from tests.web.studies.conftest import a_study
from web.history.jobs import cancel_job, take_job
from web.history.opening import Store
from web.history.worklist import study
from web.studies.intake import take_in
from web.studies.protocol import HeldStudy, Study, UnknownStudy
from web.studies.stored import NotRead, StoredStudies
from web.studies.working import Worker


def keep(store: Store, folder: Path, files: list[bytes]) -> None:
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    take_in(store, [folder], "reader")


@pytest.fixture
def source(app: Flask) -> StoredStudies:
    found: StoredStudies = app.extensions["studies"]
    return found


def same(one: Study, other: Study, index: int) -> bool:
    pairs = ((one.hu, other.hu), (one.mask, other.mask), (one.heat, other.heat))
    return all(np.array_equal(first(index), second(index)) for first, second in pairs)


@pytest.mark.parametrize("subtypes", [False, True])
def test_a_stored_study_is_the_one_that_was_read(
    store: Store, worker: Worker, source: StoredStudies, models: object, bright_reader: object, tmp_path: Path,
    subtypes: bool,
) -> None:  # fmt: skip
    bright_reader.tells_subtypes = subtypes  # type: ignore[attr-defined]
    keep(store, tmp_path / "sent", a_study(StudyDate="20261122"))
    worker.work()
    with received([tmp_path / "sent"]) as files:
        scan = read_volume(read_studies(files).pick()).scan
    held = HeldStudy("", scan, bright_reader.read(scan).slices, "")  # type: ignore[attr-defined]
    stored = source.study("1")
    assert stored.outline.title == "Doe Jane, 2026-11-22"
    assert stored.outline.model == "reader 1.2.3"
    assert stored.outline.slices == held.outline.slices
    assert stored.outline.orientation == held.outline.orientation
    assert stored.outline.spacing_mm == held.outline.spacing_mm
    assert all(same(stored, held, index) for index in range(4))


def test_the_prior_is_the_last_earlier_study_of_the_patient_that_was_read(
    store: Store, worker: Worker, source: StoredStudies, tmp_path: Path
) -> None:
    keep(store, tmp_path / "a", a_study("1.2.3", StudyDate="20261101"))
    keep(store, tmp_path / "b", a_study("1.2.4", StudyDate="20261110"))
    keep(store, tmp_path / "c", a_study("1.2.5", StudyDate="20261105", PatientID="P-18"))
    while worker.work():
        pass
    assert [source.study(key).outline.prior for key in ("1", "2", "3")] == ["", "1", ""]


def test_unknown_and_unread_studies_say_so(store: Store, source: StoredStudies, tmp_path: Path) -> None:
    for key in ("7", "9" * 30, "nothing", "\u0661"):
        with pytest.raises(UnknownStudy):
            source.study(key)
    keep(store, tmp_path / "sent", a_study())
    with pytest.raises(NotRead, match="waits to be read"):
        source.study("1")
    take_job(store.database, "a")
    with pytest.raises(NotRead, match="is being read"):
        source.study("1")
    cancel_job(store.database, 1)
    with pytest.raises(NotRead, match="was cancelled"):
        source.study("1")


def test_results_that_are_lost_are_told(store: Store, worker: Worker, source: StoredStudies, tmp_path: Path) -> None:
    keep(store, tmp_path / "sent", a_study())
    worker.work()
    opened = source.study("1")
    store.files.results.remove(study(store.database, 1).row.content_hash, [1])
    with pytest.raises(NotRead, match="Read it again"):
        opened.hu(0)


def test_the_demo_is_there_beside_kept_studies(source: StoredStudies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source._others, "_slices", 3)
    monkeypatch.setattr(source._others, "_side_px", 64)
    assert source.study("demo").outline.title == "Phantom, second study"
