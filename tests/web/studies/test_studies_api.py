"""Whole studies over the JSON API: sent, followed, fetched, deleted; each answer is held against the document."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.studies.series import series, zipped
from tests.web.studies.conftest import HEIGHTS_MM, a_study
from web.history.jobs import fail_job, job_state, take_job, tell_progress
from web.history.keeping import set_unread
from web.history.opening import Store
from web.studies.working import Worker

STUDIES = "/api/v1/studies"
Check = Callable[..., Any]


def send(client: FlaskClient, *files: tuple[bytes, str], **fields: str) -> Any:
    return client.post(STUDIES, data={"files": [(io.BytesIO(data), name) for data, name in files]} | fields)


def archive(files: list[bytes]) -> tuple[bytes, str]:
    return zipped({f"{number}.dcm": data for number, data in enumerate(files)}), "study.zip"


@pytest.fixture
def sent(client: FlaskClient) -> Any:
    """What the API says of a study that waits."""
    return send(client, archive(a_study(StudyDate="20261122", StudyTime="143000"))).json["studies"][0]


@pytest.fixture
def read(sent: Any, worker: Worker) -> Any:
    """What it said of one that was read since."""
    assert worker.work()
    return sent


def test_a_study_that_is_sent_is_kept_and_queued(client: FlaskClient, check: Check) -> None:
    answer = send(client, archive(a_study()), (b"nothing", "notes.txt"))
    made = check(answer)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (202, "no-store")
    assert made["studies"] == [
        {
            "number": 1,
            "new": True,
            "job": 1,
            "sentence": "Kept; it waits to be read.",
            "links": {
                "self": "/api/v1/studies/1",
                "results": "/api/v1/studies/1/results",
                "page": "/studies/1/",
                "job": "/api/v1/jobs/1",
            },
        }
    ]
    assert [one["name"] for one in made["left_out"]] == ["notes.txt"]
    assert made["notes"] == []


def test_a_study_sent_twice_is_known(client: FlaskClient, check: Check, sent: Any) -> None:
    answer = send(client, archive(a_study(StudyDate="20261122", StudyTime="143000")))
    (again,) = check(answer)["studies"]
    assert (answer.status_code, again["number"], again["new"], again["job"]) == (202, 1, False, None)
    assert "job" not in again["links"]


def test_studies_of_two_patients_are_two(client: FlaskClient, check: Check) -> None:
    both = a_study() + a_study("1.2.4", PatientID="P-18", PatientName="Roe^Richard")
    made = check(send(client, archive(both)))
    assert [one["number"] for one in made["studies"]] == [1, 2]
    assert made["notes"] == ["These are studies of 2 patients; they are kept apart."]


def test_model_and_series_are_those_of_the_form(client: FlaskClient, store: Store, check: Check) -> None:
    bone = series(HEIGHTS_MM, uid="1.2.3.2", StudyInstanceUID="1.2.3", SeriesNumber=2, ConvolutionKernel="H70s")
    (made,) = check(send(client, archive(a_study(SeriesNumber=1) + bone), model="unet", series="1.2.3.2"))["studies"]
    job = job_state(store.database, made["job"])
    assert (job.model, job.series) == ("unet", "1.2.3.2")


def test_where_nothing_is_kept_the_reasons_are_told(client: FlaskClient, check: Check) -> None:
    answer = send(client, archive(a_study(Modality="MR")), (b"nothing", "notes.txt"))
    made = check(answer)
    assert (answer.status_code, made["error"]["status"], made["error"]["code"]) == (422, 422, "nothing_kept")
    assert made["error"]["message"].startswith("Nothing was kept")
    assert [one["number"] for one in made["studies"]] == [None]
    assert "only CT is read" in made["studies"][0]["sentence"]
    assert "notes.txt" in [one["name"] for one in made["left_out"]]
    assert client.get(STUDIES).json["count"] == 0


@pytest.mark.parametrize(
    ("fields", "status", "code", "said"),
    [
        ({"model": "x"}, 404, "unknown_model", "There is no model 'x'; there are unet, reader."),
        ({"series": "7"}, 400, "bad_request", "There is no series '7'."),
    ],
)
def test_what_is_wrong_in_the_form_is_told_and_nothing_is_kept(
    client: FlaskClient, check: Check, fields: dict[str, str], status: int, code: str, said: str
) -> None:
    answer = send(client, archive(a_study()), **fields)
    assert (answer.status_code, check(answer)["error"]["code"]) == (status, code)
    assert said in answer.json["error"]["message"]
    assert client.get(STUDIES).json["count"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "bad_request"),
        ({"data": {"model": "reader"}, "content_type": "multipart/form-data"}, 400, "bad_request"),
        ({"data": b"no form", "content_type": "multipart/form-data"}, 400, "bad_request"),
        ({"json": {"files": []}}, 415, "unsupported_media_type"),
        ({"data": {"files": "a"}}, 415, "unsupported_media_type"),
        ({"data": b"PK", "content_type": "application/zip"}, 415, "unsupported_media_type"),
    ],
)
def test_a_request_without_files_or_form_is_refused(
    client: FlaskClient, check: Check, body: Any, status: int, code: str
) -> None:
    made = check(client.post(STUDIES, **body))
    assert (made["error"]["status"], made["error"]["code"]) == (status, code)


def test_a_request_that_is_too_large_is_refused(make_studies_app: Any, check: Check) -> None:
    client = make_studies_app(max_study_mb=0.001).test_client()
    assert check(send(client, archive(a_study())))["error"]["code"] == "too_large"


def test_the_worklist_has_its_order_its_filters_and_its_pages(
    client: FlaskClient, store: Store, worker: Worker, check: Check
) -> None:
    clear = series(HEIGHTS_MM, uid="1.2.4.1", StudyInstanceUID="1.2.4", StudyDate="20261121", PatientID="P-18")
    send(client, archive(clear))
    send(client, archive(a_study(StudyDate="20261122", StudyDescription="Head plain")))
    worker.work()
    worker.work()
    send(client, archive(a_study("1.2.5", PatientID="P-19")))
    set_unread(store.database, 2, False)

    def numbers(query: str) -> list[int]:
        return [one["number"] for one in check(client.get(f"{STUDIES}?{query}"))["studies"]]

    findings = [one["reading"] and one["reading"]["finding"] for one in check(client.get(STUDIES))["studies"]]
    assert sorted(map(str, findings)) == ["None", "hemorrhage", "hemorrhage"]
    assert numbers("finding=not_read") == [3]
    assert numbers("finding=none") == []
    assert numbers("unread=false") == [2]
    assert numbers("unread=true&finding=hemorrhage") == [1]
    assert numbers("first_date=2026-11-22&last_date=2026-11-22") == [2]
    assert numbers("text=plain") == [2]
    first = check(client.get(f"{STUDIES}?rows=2"))
    second = check(client.get(f"{STUDIES}?rows=2&page=2"))
    assert [len(first["studies"]), len(second["studies"])] == [2, 1]
    assert (first["page"], second["page"], second["pages"], second["count"]) == (1, 2, 2, 3)
    assert check(client.get(f"{STUDIES}?rows=2&page=99"))["page"] == 2
    assert client.get(STUDIES).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        "finding=blood", "finding=", "unread=yes", "first_date=yesterday", "last_date=2026-02-30", "page=0", "page=-1",
        "page=two", "page=1.5", f"page={'9' * 5000}", "page=\u0661", "rows=0", "rows=501", f"text={'a' * 129}",
    ],
)  # fmt: skip
def test_a_wrong_filter_is_told(client: FlaskClient, check: Check, query: str) -> None:
    made = check(client.get(f"{STUDIES}?{query}"))
    assert (made["error"]["status"], made["error"]["code"]) == (400, "bad_request")
    assert made["error"]["message"].startswith(query.split("=")[0])
    assert len(made["error"]["message"]) < 200


def test_a_study_that_waits_has_its_facts_and_no_reading(client: FlaskClient, check: Check, sent: Any) -> None:
    answer = client.get(sent["links"]["self"])
    made = check(answer)
    assert made["patient"] == {
        "number": 1,
        "name": "Doe^Jane",
        "id": "P-17",
        "issuer": "",
        "matched_by": "The first study of this patient ID without issuer.",
    }
    assert (made["uid"], made["date"], made["time"], made["files"]) == ("1.2.3", "2026-11-22", "14:30:00", 4)
    assert [(one["uid"], one["slices"], one["chosen"]) for one in made["series"]] == [("1.2.3.1", 4, True)]
    assert (made["state"], made["job"]["state"]) == ("received", "queued")
    assert (made["reading"], made["change"], made["results"]) == (None, None, [])
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_study_that_was_read_has_its_volume_and_its_results(client: FlaskClient, check: Check, read: Any) -> None:
    made = check(client.get(read["links"]["self"]))
    assert (made["state"], made["job"]["state"], made["job"]["share"]) == ("read", "done", 1.0)
    assert (made["reading"]["model"], made["reading"]["finding"]) == ("reader", "hemorrhage")
    # 16 pixels of 0.5 mm x 0.5 mm on four slices 5 mm apart.
    assert made["reading"]["volume_ml"] == pytest.approx(16 * 0.25 * 20 / 1000)
    assert made["reading"]["key_slices"] == [0, 1, 2, 3]
    assert (made["change"]["kind"], made["change"]["prior"]) == ("first", None)
    results = {one["name"]: one for one in made["results"]}
    assert set(results) == {
        "result.json", "report.pdf", "segmentation.dcm", "report.dcm", "mask.nii.gz",
        *(f"captures/000{number}.dcm" for number in (1, 2, 3, 4)),
    }  # fmt: skip
    assert results["report.pdf"]["type"] == "application/pdf"
    for one in made["results"]:
        fetched = client.get(one["link"])
        assert (fetched.status_code, fetched.mimetype, len(fetched.data) > 0) == (200, one["type"], True)


def test_a_later_study_says_what_changed(client: FlaskClient, check: Check, read: Any, worker: Worker) -> None:
    (later,) = send(client, archive(a_study("1.2.4", StudyDate="20261123"))).json["studies"]
    worker.work()
    change = check(client.get(later["links"]["self"]))["change"]
    assert (change["kind"], change["prior"], change["difference_ml"]) == ("not_grown", 1, 0.0)


def test_the_result_is_that_of_the_command_line(client: FlaskClient, check: Check, read: Any) -> None:
    answer = client.get(read["links"]["results"])
    made = check(answer)
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/json", "no-store")
    assert (made["series"], made["finding"], len(made["slices"])) == ("1", "hemorrhage", 4)
    assert made["measurements"]["total"]["ml"] == pytest.approx(0.08)
    assert json.loads(client.get(f"{read['links']['results']}/result.json").data) == made


@pytest.mark.parametrize("path", ["results", "results/report.pdf"])
def test_results_of_a_study_that_was_not_read_conflict_with_the_reason(
    client: FlaskClient, check: Check, sent: Any, path: str
) -> None:
    made = check(client.get(f"{sent['links']['self']}/{path}"))
    assert made["error"] == {"status": 409, "code": "not_read", "message": "This study waits to be read."}


@pytest.mark.parametrize("name", ["x", "outline.json", "../outline.json", "%2e%2e/outline.json", "captures"])
def test_nothing_but_results_can_be_fetched(client: FlaskClient, read: Any, name: str) -> None:
    answer = client.get(f"{read['links']['results']}/{name}")
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")


def test_a_job_tells_how_far_it_is(client: FlaskClient, store: Store, check: Check, sent: Any) -> None:
    waiting = check(client.get(sent["links"]["job"]))
    assert (waiting["state"], waiting["share"], waiting["slices"], waiting["seconds_left"]) == ("queued", 0, None, None)
    take_job(store.database, "a")
    tell_progress(store.database, 1, "a", 1, 4, "Reading slice 1 of 4.")
    running = check(client.get(sent["links"]["job"]))
    assert (running["state"], running["share"], running["message"]) == ("running", 0.25, "Reading slice 1 of 4.")
    assert running["seconds_left"] >= 0
    assert (running["study"], running["model"], running["ended_at"]) == (1, "reader", None)
    fail_job(store.database, 1, "a", "The slices are upside down.")
    failed = check(client.get(sent["links"]["job"]))
    assert (failed["state"], failed["message"]) == ("failed", "The slices are upside down.")


def test_a_job_is_cancelled_once_and_for_all(client: FlaskClient, check: Check, worker: Worker, sent: Any) -> None:
    cancel = check(client.get(sent["links"]["job"]))["links"]["cancel"]
    assert check(client.post(cancel))["state"] == "cancelled"
    assert check(client.post(cancel))["state"] == "cancelled"
    assert not worker.work()
    assert check(client.get(sent["links"]["self"]))["reading"] is None
    assert check(client.get(sent["links"]["results"]))["error"]["message"] == "The reading of this study was cancelled."


def test_a_job_that_ended_cannot_be_cancelled(client: FlaskClient, check: Check, read: Any) -> None:
    made = check(client.post(f"{read['links']['job']}/cancel"))
    assert (made["error"]["status"], made["error"]["code"]) == (409, "job_ended")
    assert made["error"]["message"] == "Job 1 has ended already: it is done."


def test_a_study_is_read_again_with_another_model(client: FlaskClient, check: Check, worker: Worker, read: Any) -> None:
    answer = client.post(f"{read['links']['self']}/jobs", data={"model": "unet", "series": "1.2.3.1"})
    made = check(answer)
    assert (answer.status_code, made["number"], made["model"], made["series"]) == (202, 2, "unet", "1.2.3.1")
    worker.work()
    assert check(client.get(read["links"]["self"]))["reading"]["model"] == "unet"
    by_multipart = client.post(f"{read['links']['self']}/jobs", data={}, content_type="multipart/form-data")
    assert check(by_multipart)["model"] == "reader"


def test_a_stack_is_picked_by_its_key_as_results_list_it(
    client: FlaskClient, check: Check, store: Store, read: Any
) -> None:
    key = check(client.get(read["links"]["results"]))["candidates"][0]["key"]
    made = check(client.post(f"{read['links']['self']}/jobs", data={"series": key}))
    assert job_state(store.database, made["number"]).series == "1"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"data": {"model": "x"}}, 404, "unknown_model"),
        ({"data": {"series": "1.2.3.4.5"}}, 400, "bad_request"),
        ({"data": {"series": "thin"}}, 400, "bad_request"),
        ({"json": {"model": "unet"}}, 415, "unsupported_media_type"),
    ],
)
def test_a_study_is_not_read_again_with_what_is_not_there(
    client: FlaskClient, check: Check, read: Any, body: Any, status: int, code: str
) -> None:
    made = check(client.post(f"{read['links']['self']}/jobs", **body))
    assert (made["error"]["status"], made["error"]["code"]) == (status, code)
    assert check(client.get(read["links"]["self"]))["job"]["number"] == 1


def test_a_study_that_waits_is_not_queued_again(client: FlaskClient, check: Check, sent: Any) -> None:
    made = check(client.post(f"{sent['links']['self']}/jobs"))
    assert (made["error"]["status"], made["error"]["code"]) == (409, "already_reading")
    assert made["error"]["message"] == "Job 1 of this study waits or runs: follow it, or cancel it first."


def test_a_deleted_study_is_gone_with_its_files_and_its_job(
    client: FlaskClient, check: Check, store: Store, read: Any
) -> None:
    answer = client.delete(read["links"]["self"])
    check(answer)
    assert (answer.status_code, answer.data, answer.headers["Cache-Control"]) == (204, b"", "no-store")
    assert store.files.hashes(-1) == ()
    for link in read["links"].values():
        assert client.get(link).status_code == 404
    assert check(client.delete(read["links"]["self"]))["error"]["code"] == "unknown_study"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "studies/{}"), ("DELETE", "studies/{}"), ("GET", "studies/{}/results"),
        ("GET", "studies/{}/results/report.pdf"), ("POST", "studies/{}/jobs"), ("GET", "jobs/{}"),
        ("POST", "jobs/{}/cancel"),
    ],
)  # fmt: skip
def test_unknown_numbers_and_what_is_none_are_not_found(client: FlaskClient, method: str, path: str) -> None:
    for number in ("2", "0", "9" * 9, str(2**31 - 1), str(2**31), str(2**63), "9" * 5000, "-1", "one", "1.0", "\u0661"):
        answer = client.open(f"/api/v1/{path.format(number)}", method=method)
        assert (answer.status_code, answer.json["error"]["status"]) == (404, 404), number[:20]
        assert answer.json["error"]["code"] in ("unknown_study", "unknown_job", "not_found")


@pytest.mark.parametrize("path", ["", "study.json", "slices/1", "results.zip"])
def test_pages_of_huge_numbers_are_not_found(client: FlaskClient, path: str) -> None:
    for number in (str(2**31), "9" * 12, "9" * 5000):
        assert client.get(f"/studies/{number}/{path}").status_code == 404


def test_no_cache_keeps_the_pages_of_a_study(client: FlaskClient, read: Any) -> None:
    for path in ("", "study.json", "slices/1", "state.json", "results.zip"):
        assert client.get(f"{read['links']['page']}{path}").headers["Cache-Control"] == "no-store"


def test_another_method_is_told_which_are_there(client: FlaskClient, sent: Any) -> None:
    answer = client.put(sent["links"]["self"])
    assert (answer.status_code, answer.json["error"]["code"]) == (405, "method_not_allowed")
    assert {"GET", "DELETE"} <= set(answer.headers["Allow"].split(", "))


def test_who_follows_a_job_has_it_worked_on_after_a_restart(
    client: FlaskClient, sent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[Worker] = []
    monkeypatch.setattr(Worker, "wake", lambda self: woken.append(self))
    client.get(sent["links"]["job"])
    client.get(sent["links"]["self"])
    assert len(woken) == 2
