"""The history opens when it is needed, where the settings say, and tidies what is old."""

import io
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from web.history.arriving import keep_upload
from web.history.jobs import job_state, queue_job, take_job
from web.history.opening import History, Store
from web.history.records import StudyFacts
from web.history.tables import Job, Study
from web.history.worklist import Filter, worklist
from web.settings import Settings


def test_an_application_has_a_history_and_makes_nothing_for_it(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    settings = {"database_url": f"sqlite:///{tmp_path / 'a.sqlite'}", "studies_folder": str(tmp_path / "studies")}
    app = make_app(**settings)
    assert app.test_client().get("/").status_code == 200
    assert isinstance(app.extensions["history"], History)
    assert list(tmp_path.iterdir()) == []


def test_it_lies_in_the_instance_folder_for_its_owner_only(tmp_path: Path) -> None:
    instance = tmp_path / "instance"
    history = History(Settings(), instance)
    store = history.store()
    keep_upload(store, [io.BytesIO(b"1")], StudyFacts())
    assert {path.name for path in instance.iterdir()} >= {"history.sqlite", "studies"}
    assert stat.S_IMODE(instance.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in instance.glob("history.sqlite*")} == {0o600}
    history.close()


def test_threads_open_it_once(tmp_path: Path) -> None:
    history = History(Settings(), tmp_path)
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(history.store())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 4
    assert len({id(store) for store in stores}) == 1
    history.close()


def test_the_settings_choose_database_and_folder(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=database_url, studies_folder=str(tmp_path / "elsewhere"))
    history = History(settings, tmp_path / "instance")
    kept = keep_upload(history.store(), [io.BytesIO(b"1")], StudyFacts(patient_id="7"))
    history.close()
    again = History(settings, tmp_path / "instance")
    assert [row.number for row in worklist(again.store().database, Filter()).rows] == [kept.number]
    assert len(again.store().files.files_of(kept.content_hash)) == 1
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "instance").exists()
    again.close()


def test_identities_are_removed_only_where_the_setting_says_so(tmp_path: Path) -> None:
    assert History(Settings(), tmp_path / "a").store().deidentifier is None
    assert History(Settings(deidentify=True), tmp_path / "b").store().deidentifier is not None
    assert (tmp_path / "b" / "studies" / "deidentification.key").is_file()


@pytest.mark.parametrize(("days", "left"), [(0, 2), (30, 1)])
def test_tidying_removes_what_is_too_old_and_marks_dead_jobs(
    database_url: str, tmp_path: Path, days: int, left: int
) -> None:
    history = History(Settings(database_url=database_url, retention_days=days), tmp_path)
    store = history.store()
    numbers = [keep_upload(store, [io.BytesIO(content)], StudyFacts()).number for content in (b"1", b"2")]
    job = queue_job(store.database, numbers[1], "reader")
    take_job(store.database, "a process that died")
    long_ago = datetime.now(UTC) - timedelta(days=31)
    with store.database.writing() as session:
        session.execute(update(Study).where(Study.id == numbers[0]).values(received_at=long_ago))
        session.execute(update(Job).values(heard_at=long_ago))
    removed = history.tidy()
    assert [one.number for one in removed] == ([numbers[0]] if days else [])
    assert worklist(store.database, Filter()).studies == left
    assert job_state(store.database, job).state == "interrupted"
    history.close()
