"""What people do with whole studies: send them, follow and stop their reading, read them again, fetch the results.

In: forms. Out: a study's page once it is read, its progress until then, and files. Complete without scripts.
"""

from contextlib import suppress

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from web.access import require_history
from web.engine import engine
from web.security import keep_by_no_cache
from web.studies import actions, viewing
from web.studies.answers import captures_archive, results_archive, results_file
from web.studies.as_json import progress
from web.studies.stored import NotRead, change_of, stored_study, title_of

studies = Blueprint("studies", __name__, url_prefix="/studies")
studies.before_request(require_history)
studies.after_request(keep_by_no_cache)


@studies.post("/")
def send() -> BaseResponse | tuple[str, int]:
    """Keep what was sent and queue its reading: 303 to the study, or a page that says what became of several."""
    from web.studies.intake import nothing_kept

    taken = actions.send()
    if len(taken.studies) == 1 and taken.studies[0].number is not None and not taken.left_out:
        return redirect(url_for("studies.page", number=taken.studies[0].number), 303)
    status = 422 if nothing_kept(taken) else 200
    return render_template("sent.html", taken=taken, trouble=nothing_kept(taken)), status


@studies.get("/<number:number>/")
def page(number: int) -> str:
    """The viewer; before that how far the reading is, or why there is none."""
    known = actions.look_up(number)
    state = progress(known.job)
    if known.row.read is not None and not known.is_worked_on:
        try:
            return _read_page(known)
        except NotRead as error:
            state["message"] = str(error)
    series = [(uid, f"{one.description or 'Series'}, {one.slices} slices") for uid, one in known.pickable.items()]
    return render_template(
        "waiting.html", row=known.row, title=title_of(known.row), job=known.job, state=state,
        manifests=engine().manifests(), series=series,
    )  # fmt: skip


@studies.get("/<number:number>/state.json")
def state(number: int) -> Response:
    """How far the reading is, for a script."""
    return jsonify(progress(actions.look_up(number).job))


@studies.post("/<number:number>/cancel")
def cancel(number: int) -> BaseResponse:
    from web.history.jobs import cancel_job

    job = actions.look_up(number).job
    if job is not None:
        cancel_job(actions.store().database, job.number)
    return redirect(url_for("studies.page", number=number), 303)


@studies.post("/<number:number>/read")
def read(number: int) -> BaseResponse:
    """Read a study again, with another model or another series."""
    with suppress(actions.AlreadyReading):  # pressed twice, it is read once
        actions.read_again(number, request.form.get("model", ""), request.form.get("series", ""))
    return redirect(url_for("studies.page", number=number), 303)


@studies.get("/<number:number>/results/<path:name>")
def result(number: int, name: str) -> Response:
    """One file of the results."""
    return results_file(actions.store(), actions.look_up(number).row, name)


@studies.get("/<number:number>/results.zip")
def results(number: int) -> Response:
    """All files of the results as an archive."""
    return results_archive(actions.store(), actions.look_up(number).row)


@studies.get("/<number:number>/captures.zip")
def captures(number: int) -> Response:
    """The pictures with the mask burnt in as an archive."""
    return captures_archive(actions.store(), actions.look_up(number).row)


def _read_page(known: actions.Known) -> str:
    """The page of a study that was read; who opens it has looked at it.

    Raises:
        NotRead: where the results are lost.
    """
    from web.history.keeping import set_unread
    from web.studies.facts import facts_of, series_name
    from web.studies.offers import offers_of

    store, row = actions.store(), known.row
    change = change_of(store, row)
    study = stored_study(store, row, change)
    shown = viewing.study_page(
        "stored.html",
        str(row.number),
        study.outline,
        row=row,
        job=known.job,
        state=progress(known.job),
        facts=facts_of(row, study, change),
        offers=offers_of(study.folder),
        choices=[(one.key, series_name(one)) for one in study.recorded.candidates if one.readable],
        manifests=engine().manifests(),
    )
    if row.unread and request.method == "GET":
        set_unread(store.database, row.number, False)
    return shown
