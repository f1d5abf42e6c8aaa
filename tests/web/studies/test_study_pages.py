"""A study from the form to the viewer, without scripts; and uploads that go to the disk within bounds."""

import io
import json
import resource
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.studies.series import zipped
from tests.web.studies.conftest import a_study
from web.history.jobs import fail_job, job_state, queue_job, take_job, tell_progress
from web.history.opening import Store
from web.studies import sending
from web.studies.working import Worker


def named(files: list[bytes]) -> dict[str, bytes]:
    return {f"{number}.dcm": data for number, data in enumerate(files)}


def post(client: FlaskClient, files: dict[str, bytes], **fields: str) -> Any:
    return client.post("/studies/", data={"files": [(io.BytesIO(data), name) for name, data in files.items()]} | fields)


@pytest.fixture
def kept(client: FlaskClient) -> str:
    """The address of a study that waits."""
    address: str = post(client, {"study.zip": zipped(named(a_study(StudyDate="20261122")))}).headers["Location"]
    return address


@pytest.fixture
def read(kept: str, worker: Worker) -> str:
    """The address of a study that was read."""
    assert worker.work()
    return kept


def test_a_study_that_is_sent_leads_to_its_page(client: FlaskClient, store: Store) -> None:
    answer = post(client, {"study.zip": zipped(named(a_study()))}, model="unet")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/1/")
    assert job_state(store.database, 1).model == "unet"


def test_files_of_a_folder_are_one_study_and_come_under_their_paths(client: FlaskClient) -> None:
    page = post(client, {f"CD/{name}": data for name, data in named(a_study()).items()} | {"CD/readme.txt": b"hello"})
    assert page.status_code == 200
    assert '<a href="/studies/1/">Study 1</a>' in page.text
    assert "CD/readme.txt" in page.text


def test_what_cannot_be_read_is_answered_with_the_reason(client: FlaskClient) -> None:
    page = post(client, {"a.txt": b"hello"})
    assert page.status_code == 422
    assert "Nothing was kept, for there is no study that can be read." in page.text
    assert post(client, {"": b""}).status_code == 400
    assert post(client, {"a.dcm": a_study()[0]}, model="nothing").status_code == 404
    assert post(client, named(a_study()), series="9").status_code == 400


def test_nothing_of_an_upload_stays_beside_the_kept_files(client: FlaskClient, store: Store, kept: str) -> None:
    post(client, {"a.txt": b"hello"})
    assert list((store.files.root / "arriving").iterdir()) == []


def test_files_go_to_the_disk_while_they_come(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Watched(sending.Sent):
        def __init__(self, paths: tuple[Path, ...], *rest: Any) -> None:
            super().__init__(paths, *rest)
            seen.extend(path.stat().st_size for path in paths if store.files.root in path.parents)

    monkeypatch.setattr(sending, "Sent", Watched)
    post(client, {"a.bin": bytes(3_000_000)})
    assert seen == [3_000_000]


def test_a_study_may_be_larger_than_slices_and_has_limits_of_its_own(make_studies_app: Callable[..., Flask]) -> None:
    app = make_studies_app(max_upload_mb=0.01, max_study_mb=0.1, max_study_files=5)
    client = app.test_client()
    assert post(client, named(a_study())).status_code == 303
    large = post(client, {"a": bytes(100_001)})
    assert (large.status_code, "larger than the 0.1 MB" in large.text) == (413, True)
    assert post(client, {str(number): b"x" for number in range(30)}).status_code == 413
    assert client.post("/read", data={"files": (io.BytesIO(bytes(20_000)), "a")}).status_code == 413


def test_a_folder_may_have_more_files_than_a_process_may_hold_open(client: FlaskClient, store: Store) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 64, hard))
    try:
        page = post(client, {f"{number}.txt": b"hello" for number in range(200)})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (page.status_code, "And 150 more." in page.text) == (422, True)


def test_only_so_many_studies_are_sent_at_a_time(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    full = threading.BoundedSemaphore(1)
    monkeypatch.setattr(sending, "_uploading", full)
    with full:
        busy = post(client, named(a_study()))
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")
    assert "Other studies are being sent" in busy.text
    assert post(client, named(a_study())).status_code == 303


def test_the_page_follows_the_reading(client: FlaskClient, store: Store, kept: str) -> None:
    waiting = client.get(kept)
    assert "This study waits to be read." in waiting.text
    assert '<meta http-equiv="refresh" content="2">' in waiting.text
    assert waiting.headers["Cache-Control"] == "no-store"
    take_job(store.database, "a")
    tell_progress(store.database, 1, "a", 1, 4, "Reading slice 1 of 4.")
    state = client.get(f"{kept}state.json").json
    assert (state["state"], state["share"], state["slices_done"], state["slices"]) == ("running", 0.25, 1, 4)
    assert state["seconds_left"] >= 0
    assert '<progress max="1" value="0.250"' in client.get(kept).text
    assert "Reading slice 1 of 4." in client.get(kept).text


def test_a_reading_can_be_cancelled_and_asked_for_again(client: FlaskClient, store: Store, kept: str) -> None:
    assert client.post(f"{kept}cancel").headers["Location"] == kept
    page = client.get(kept).text
    assert "was cancelled" in page
    assert "Read again" in page
    assert client.post(f"{kept}read", data={"model": "unet", "series": "1.2.3.1"}).status_code == 303
    assert (job_state(store.database, 2).model, job_state(store.database, 2).series) == ("unet", "1.2.3.1")
    client.post(f"{kept}read", data={"model": "unet"})  # pressed twice
    assert len(client.get(kept).text) > 0
    assert client.get(f"{kept}state.json").json["state"] == "queued"
    assert client.post(f"{kept}read", data={"model": "nothing"}).status_code == 404


def test_a_failed_reading_says_why(client: FlaskClient, store: Store, kept: str) -> None:
    take_job(store.database, "a")
    fail_job(store.database, 1, "a", "The slices have no positions.")
    page = client.get(kept).text
    assert "The slices have no positions." in page
    assert '<option value="1.2.3.1"' in page
    assert client.get(f"{kept}study.json").status_code == 409


def test_a_read_study_opens_in_the_viewer(client: FlaskClient, read: str) -> None:
    page = client.get(read)
    assert "Doe Jane, 2026-11-22" in page.text
    assert "data-study" in page.text
    outline = client.get(f"{read}study.json").json
    assert (outline["title"], len(outline["slices"]), outline["mask"]) == ("Doe Jane, 2026-11-22", 4, True)
    assert client.get(f"{read}slices/4.png").status_code == 200


def test_a_study_that_is_read_again_shows_its_progress(client: FlaskClient, store: Store, read: str) -> None:
    queue_job(store.database, 1, "unet")
    assert "data-waiting" in client.get(read).text
    assert client.get(f"{read}study.json").json["model"] == "reader 1.2.3"


@pytest.mark.parametrize(
    ("name", "kind", "begins"),
    [
        ("report.pdf", "application/pdf", b"%PDF"),
        ("result.json", "application/json", b"{"),
        ("segmentation.dcm", "application/dicom", bytes(128) + b"DICM"),
        ("captures/0001.dcm", "application/dicom", bytes(128) + b"DICM"),
        ("mask.nii.gz", "application/gzip", b"\x1f\x8b"),
    ],
)
def test_results_are_there_to_download(client: FlaskClient, read: str, name: str, kind: str, begins: bytes) -> None:
    answer = client.get(f"{read}results/{name}")
    assert (answer.status_code, answer.mimetype, answer.headers["Cache-Control"]) == (200, kind, "no-store")
    assert answer.data.startswith(begins)
    assert answer.headers["Content-Disposition"] == f"attachment; filename=study-1-{name.replace('/', '-')}"


@pytest.mark.parametrize(
    "name",
    ["outline.json", "../outline.json", "%2e%2e/outline.json", "captures", "captures/..", "%2Fetc%2Fpasswd", "x"],
)
def test_nothing_else_can_be_fetched_as_a_result(client: FlaskClient, read: str, name: str) -> None:
    assert client.get(f"{read}results/{name}", follow_redirects=True).status_code == 404


def test_all_results_come_as_one_archive(client: FlaskClient, read: str) -> None:
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{read}results.zip").data))
    assert archive.testzip() is None
    assert {"report.pdf", "result.json", "captures/0004.dcm"} <= set(archive.namelist())
    assert json.loads(archive.read("result.json"))["finding"] == "hemorrhage"


@pytest.mark.parametrize("path", ["", "state.json", "results/report.pdf", "results.zip", "study.json", "slices/1"])
def test_unknown_studies_are_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(f"/studies/4711/{path}").status_code == 404


@pytest.mark.parametrize("path", ["results/report.pdf", "results.zip", "study.json"])
def test_a_study_that_was_not_read_has_no_results(client: FlaskClient, kept: str, path: str) -> None:
    answer = client.get(f"{kept}{path}")
    assert (answer.status_code, "waits to be read" in answer.text) == (409, True)


def test_pages_say_what_is_kept(client: FlaskClient, kept: str) -> None:
    assert "Only studies that you send as a whole are kept" in client.get("/").text
    assert "A study is kept on this server" in client.get("/").text
    assert "This study is kept on this server until somebody deletes it." in client.get(kept).text
