"""What people do with whole studies: send them, follow and stop their reading, read them again, fetch the results.

In: forms. Out: a study's page once it is read, its progress until then, and files. Complete without scripts.
"""

import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flask import Blueprint, Response, abort, current_app, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from hemoscope.results.folder import CAPTURES
from web.engine import engine
from web.history.opening import History, Store
from web.settings import Settings
from web.studies import viewing
from web.studies.facts import facts_of, series_name
from web.studies.folder import OUT
from web.studies.links import WORKLIST, delete_address, patient_address
from web.studies.offers import offers_of
from web.studies.sending import sent_studies
from web.studies.stored import NotRead, change_of, downloads, results_folder, stored_study, title_of
from web.studies.working import Worker

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.history.worklist import Row

studies = Blueprint("studies", __name__, url_prefix="/studies")

MEDIA_TYPES = {
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".dcm": "application/dicom",
    ".gz": "application/gzip",
}
PIECE_BYTES = 2**18


@studies.post("/")
def send() -> BaseResponse | tuple[str, int]:
    """Keep what was sent and queue its reading: 303 to the study, or a page that says what became of several."""
    from web.studies.intake import nothing_kept, take_in

    store, settings = _store(), _settings()
    with sent_studies(store, settings) as sent:
        model = engine().known(sent.fields.get("model", ""))
        taken = take_in(store, sent.paths, model, sent.fields.get("series", ""), sent.names)
    _worker().wake()
    if len(taken.studies) == 1 and taken.studies[0].number is not None and not taken.left_out:
        return redirect(url_for("studies.page", number=taken.studies[0].number), 303)
    status = 422 if nothing_kept(taken) else 200
    return render_template("sent.html", taken=taken, trouble=nothing_kept(taken)), status


@studies.get("/<int:number>/")
def page(number: int) -> str | Response:
    """The viewer; before that how far the reading is, or why there is none."""
    row, job = _row_and_job(number)
    _worker().wake()
    state = _state(job)
    if row.read is not None and not (job is not None and job.waits_or_runs):
        try:
            return _private(Response(_read_page(row, job)))
        except NotRead as error:
            state["message"] = str(error)
    shown = render_template(
        "waiting.html", row=row, title=title_of(row), job=job, state=state, manifests=engine().manifests(),
        series=_series(number), delete=delete_address(number),
    )  # fmt: skip
    return _private(Response(shown))


@studies.get("/<int:number>/state.json")
def state(number: int) -> Response:
    """How far the reading is, for a script."""
    return _private(jsonify(_state(_row_and_job(number)[1])))


@studies.post("/<int:number>/cancel")
def cancel(number: int) -> BaseResponse:
    from web.history.jobs import cancel_job

    job = _row_and_job(number)[1]
    if job is not None:
        cancel_job(_store().database, job.number)
    return redirect(url_for("studies.page", number=number), 303)


@studies.post("/<int:number>/read")
def read(number: int) -> BaseResponse:
    """Read a study again, with another model or another series."""
    from web.history.jobs import queue_job

    job = _row_and_job(number)[1]
    model = engine().known(request.form.get("model", ""))
    if job is None or not job.waits_or_runs:  # pressed twice, it is read once
        queue_job(_store().database, number, model, request.form.get("series", ""))
        _worker().wake()
    return redirect(url_for("studies.page", number=number), 303)


@studies.get("/<int:number>/results/<path:name>")
def result(number: int, name: str) -> Response:
    """One file of the results; only names that are there are ever opened."""
    folder = _folder(number)
    if name not in downloads(folder):
        abort(404)
    file = folder / OUT / name
    kind = MEDIA_TYPES.get(file.suffix, "application/octet-stream")
    response = Response(_pieces(file), mimetype=kind)
    response.content_length = file.stat().st_size
    return _download(response, f"study-{number}-{name.replace('/', '-')}")


@studies.get("/<int:number>/results.zip")
def results(number: int) -> Response:
    """All files of the results as an archive."""
    return _archive(number, downloads(_folder(number)), f"study-{number}.zip")


@studies.get("/<int:number>/captures.zip")
def captures(number: int) -> Response:
    """The pictures with the mask burnt in as an archive."""
    names = tuple(name for name in downloads(_folder(number)) if name.startswith(f"{CAPTURES}/"))
    if not names:
        abort(404)
    return _archive(number, names, f"study-{number}-captures.zip")


def _read_page(row: "Row", job: "JobState | None") -> str:
    """The page of a study that was read; who opens it has looked at it.

    Raises:
        NotRead: where the results are lost.
    """
    from web.history.keeping import set_unread

    store = _store()
    change = change_of(store, row)
    study = stored_study(store, row, change)
    shown = viewing.study_page(
        "stored.html",
        str(row.number),
        study.outline,
        row=row,
        job=job,
        state=_state(job),
        facts=facts_of(row, study, change),
        offers=offers_of(study.folder),
        choices=[(one.key, series_name(one)) for one in study.recorded.candidates if one.readable],
        manifests=engine().manifests(),
        worklist=WORKLIST,
        patient=patient_address(row.patient_number),
        delete=delete_address(row.number),
    )
    if row.unread and request.method == "GET":
        set_unread(store.database, row.number, False)
    return shown


def _state(job: "JobState | None") -> dict[str, object]:
    if job is None:
        return {"state": "none", "share": 0.0, "message": "", "slices_done": 0, "slices": None, "seconds_left": None}
    left = job.seconds_left(datetime.now(UTC))
    return {
        "state": job.state,
        "share": job.slices_done / job.slices if job.slices else 0.0,
        "message": job.message,
        "slices_done": job.slices_done,
        "slices": job.slices,
        "seconds_left": None if left is None else round(left),
    }


def _row_and_job(number: int) -> "tuple[Row, JobState | None]":
    """The study and its latest job; UnknownStudy, a 404, where there is none."""
    from web.history.jobs import latest_job
    from web.history.worklist import study

    database = _store().database
    return study(database, number).row, latest_job(database, number)


def _series(number: int) -> list[tuple[str, str]]:
    """What can be picked of a study: UID and what to call it. A series without a UID cannot be told from others."""
    from web.history.worklist import study

    found = {one.series_uid: one for one in study(_store().database, number).series if one.slices and one.series_uid}
    return [(uid, f"{one.description or 'Series'}, {one.slices} slices") for uid, one in found.items()]


def _folder(number: int) -> Path:
    return results_folder(_store(), _row_and_job(number)[0])


def _archive(number: int, names: tuple[str, ...], name: str) -> Response:
    return _download(Response(_zipped(_folder(number) / OUT, names), mimetype="application/zip"), name)


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


class _Pipe:
    """Where an archive is written that is sent at once: it cannot be gone back in."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        data, self._written = b"".join(self._written), []
        return data


def _zipped(folder: Path, names: tuple[str, ...]) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(cast("zipfile._ZipWritable", pipe), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(folder / name, name)
            yield pipe.taken()
    yield pipe.taken()


def _download(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return _private(response)


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response


def _store() -> Store:
    history: History = current_app.extensions["history"]
    return history.store()


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _worker() -> Worker:
    worker: Worker = current_app.extensions["worker"]
    return worker
