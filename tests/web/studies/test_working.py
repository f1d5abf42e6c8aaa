"""Jobs become readings and folders of results, and what goes wrong leaves nothing half."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from hemoscope.errors import BadScan
from tests.studies.series import series
from tests.web.studies.conftest import a_study
from web.history.jobs import cancel_job, job_state, mark_interrupted, queue_job
from web.history.keeping import delete_study, remove_strays
from web.history.opening import Store
from web.history.worklist import study
from web.studies.intake import take_in
from web.studies.working import LOST, OUR_FAULT, Worker


@pytest.fixture
def sent(store: Store, tmp_path: Path) -> Callable[..., int]:
    """Send a study of loose files; gives its job."""

    def send(files: list[bytes]) -> int:
        folder = tmp_path / "sent"
        folder.mkdir(exist_ok=True)
        for number, data in enumerate(files):
            (folder / f"{number}.dcm").write_bytes(data)
        job = take_in(store, [folder], "reader").studies[0].job
        assert job is not None
        return job

    return send


def left_behind(store: Store) -> list[str]:
    """What lies in the folder of studies beside kept files and finished results."""
    halfway = [place for kind in ("arriving", "leaving") for place in (store.files.root / kind).glob("*")]
    return [place.name for place in halfway]


def results_of(store: Store, number: int = 1) -> tuple[int, ...]:
    return store.files.results.jobs(study(store.database, number).row.content_hash)


def test_a_job_becomes_a_reading_with_all_its_results(store: Store, worker: Worker, sent: Callable[..., int]) -> None:
    job = sent(a_study())
    assert worker.work()
    assert not worker.work()
    ended = job_state(store.database, job)
    assert (ended.state, ended.slices_done, ended.slices) == ("done", 4, 4)
    row = study(store.database, 1).row
    assert (row.state, row.unread, row.read.model, row.read.finding) == ("read", True, "reader", "hemorrhage")
    # 16 pixels of 0.5 mm x 0.5 mm on four slices 5 mm apart.
    assert row.read.volume_ml == pytest.approx(16 * 0.25 * 20 / 1000)
    assert row.read.key_slices == (0, 1, 2, 3)
    folder = store.files.results.folder_of(row.content_hash, job)
    assert {one.name for one in (folder / "out").iterdir()} == {
        "result.json", "report.pdf", "segmentation.dcm", "report.dcm", "captures", "mask.nii.gz",
    }  # fmt: skip
    assert [(folder / f"hu-{number:04d}.gz").is_file() for number in (1, 4, 5)] == [True, True, False]
    assert left_behind(store) == []


def test_the_worker_reads_the_series_that_the_job_names(store: Store, worker: Worker, sent: Callable[..., int]) -> None:
    thin = series([0.0, 5.0, 10.0], uid="1.2.3.2", StudyInstanceUID="1.2.3", SeriesNumber=2)
    sent(a_study(SeriesNumber=1) + thin)
    picked = queue_job(store.database, 1, "unet", "1.2.3.2")
    assert worker.work()
    assert worker.work()
    assert (job_state(store.database, picked).slices, study(store.database, 1).row.read.model) == (3, "unet")


def test_a_new_reading_takes_the_place_of_the_earlier_one(
    store: Store, worker: Worker, sent: Callable[..., int]
) -> None:
    sent(a_study())
    worker.work()
    again = queue_job(store.database, 1, "reader")
    worker.work()
    assert results_of(store) == (again,)


@pytest.mark.parametrize("when", ["cancelled", "deleted"])
def test_a_job_that_is_stopped_while_it_runs_leaves_nothing(
    store: Store, worker: Worker, sent: Callable[..., int], models: Any, when: str
) -> None:
    job = sent(a_study())
    reader = models.readers["reader"]
    read = reader.read

    def read_slowly(scan: Any, progress: Any) -> Any:
        if when == "cancelled":
            cancel_job(store.database, job)
        else:
            delete_study(store.database, store.files, 1)
        return read(scan, progress)

    reader.read = read_slowly
    assert worker.work()
    assert left_behind(store) == []
    if when == "cancelled":
        assert (job_state(store.database, job).state, study(store.database, 1).row.read) == ("cancelled", None)
        assert results_of(store) == ()
    assert list((store.files.root / "results").glob("*/*")) == []


def test_a_job_that_is_given_up_while_its_results_are_written_takes_them_back(
    store: Store, worker: Worker, sent: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(a_study())
    publish = store.files.results.publish

    def publish_late(draft: Path, content_hash: str, job: int) -> None:
        publish(draft, content_hash, job)
        mark_interrupted(store.database, datetime.now(UTC) + timedelta(minutes=5))

    monkeypatch.setattr(store.files.results, "publish", publish_late)
    worker.work()
    assert (results_of(store), study(store.database, 1).row.read) == ((), None)


def test_what_cannot_be_read_says_why(store: Store, worker: Worker, sent: Callable[..., int], models: Any) -> None:
    job = sent(a_study())

    def refuse(scan: Any, progress: Any) -> Any:
        raise BadScan("The slices are upside down.")

    models.readers["reader"].read = refuse
    worker.work()
    assert (job_state(store.database, job).state, job_state(store.database, job).message) == (
        "failed",
        "The slices are upside down.",
    )
    assert left_behind(store) == []


def test_a_fault_of_ours_is_told_without_the_patients_facts(
    store: Store, worker: Worker, sent: Callable[..., int], models: Any, caplog: pytest.LogCaptureFixture
) -> None:
    job = sent(a_study())

    def fail(scan: Any, progress: Any) -> Any:
        raise RuntimeError(f"broken for {scan.facts.patient_name}")

    models.readers["reader"].read = fail
    with caplog.at_level(logging.INFO):
        worker.work()
    assert job_state(store.database, job).message == OUR_FAULT
    assert "job 1 failed: RuntimeError in fail" in caplog.text
    assert "Doe" not in caplog.text


def test_a_study_whose_files_are_lost_says_so(store: Store, worker: Worker, sent: Callable[..., int]) -> None:
    job = sent(a_study())
    store.files.remove(store.files.set_aside(study(store.database, 1).row.content_hash))
    worker.work()
    assert job_state(store.database, job).message == LOST


def test_a_study_of_too_many_pixels_is_refused(
    make_studies_app: Callable[..., Flask], store: Store, sent: Callable[..., int]
) -> None:
    job = sent(a_study())
    small = make_studies_app(max_study_pixels=4 * 48 * 40 - 1)
    small.extensions["worker"].work()
    assert "more than the 7679 pixels" in job_state(store.database, job).message


def test_results_go_with_their_study_and_strays_are_tidied(
    store: Store, worker: Worker, sent: Callable[..., int]
) -> None:
    sent(a_study())
    worker.work()
    content_hash = study(store.database, 1).row.content_hash
    with store.files.draft() as draft:
        store.files.results.publish(draft, content_hash, 77)  # as a process leaves it that dies before the job ends
    assert remove_strays(store.database, store.files, older_than_seconds=-1) == 1
    assert store.files.results.jobs(content_hash) == (1,)
    delete_study(store.database, store.files, 1)
    assert list((store.files.root / "results").glob("*/*")) == []


def test_the_thread_starts_when_it_is_woken_and_takes_what_comes(
    make_studies_app: Callable[..., Flask], tmp_path: Path
) -> None:
    app = make_studies_app()
    worker: Worker = app.extensions["worker"]
    assert "studies" not in [thread.name for thread in threading.enumerate()]
    store = app.extensions["history"].store()
    for number, uid in enumerate(("1.2.3", "1.2.4")):
        folder = tmp_path / uid
        folder.mkdir()
        for place, data in enumerate(a_study(uid)):
            (folder / f"{place}.dcm").write_bytes(data)
        take_in(store, [folder], "reader")
        worker.wake()
        until = datetime.now(UTC) + timedelta(seconds=20)
        while job_state(store.database, number + 1).state in ("queued", "running"):
            assert datetime.now(UTC) < until
            threading.Event().wait(0.02)
    assert job_state(store.database, 2).state == "done"
    worker.end()
    assert "studies" not in [thread.name for thread in threading.enumerate()]
