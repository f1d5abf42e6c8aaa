"""Whole studies in the JSON API, version 1: send, list, follow, fetch, read again, delete.

In: forms and numbers. Out: JSON as `as_json` makes it, files of the results, and errors in the API's one shape. No
cache keeps an answer, for it names patients. `web.openapi.studies` describes it, docs/reference/api.md in words.
"""

from typing import TYPE_CHECKING

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import UnsupportedMediaType

from hemoscope.errors import HemoscopeError
from web.access import require_history
from web.security import keep_by_no_cache
from web.studies import actions, as_json
from web.studies.answers import results_file
from web.studies.asked import asked_of
from web.studies.stored import NotRead, change_of, downloads, results_folder

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.studies.actions import Known

studies_api = Blueprint("studies_api", __name__, url_prefix="/api/v1")
studies_api.before_request(require_history)
studies_api.after_request(keep_by_no_cache)

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
RESULT = "result.json"


class JobEnded(HemoscopeError):
    """The job has ended, so that it cannot be cancelled."""

    status = 409


@studies_api.post("/studies")
def send() -> ResponseReturnValue:
    """Keep what was sent and queue its reading; 422 where there is nothing to keep."""
    from web.studies.intake import nothing_kept

    _expect(FORMS[0])
    taken = actions.send()
    record = as_json.taken_in(taken)
    trouble = nothing_kept(taken)
    if trouble:
        return {"error": {"status": 422, "code": "nothing_kept", "message": trouble}, **record}, 422
    return record, 202


@studies_api.get("/studies")
def studies() -> ResponseReturnValue:
    from web.history.worklist import worklist

    asked = asked_of(request.args)
    return as_json.listed(worklist(actions.store().database, asked.filter, asked.page, asked.rows_a_page))


@studies_api.get("/studies/<number:number>")
def study(number: int) -> ResponseReturnValue:
    known = actions.look_up(number)
    return as_json.whole_study(
        known, None if known.row.read is None else change_of(actions.store(), known.row), _names(known)
    )


@studies_api.delete("/studies/<number:number>")
def delete(number: int) -> ResponseReturnValue:
    """Delete a study for good, with its files, its readings and the job that may run."""
    from web.history.keeping import delete_study

    store = actions.store()
    delete_study(store.database, store.files, number)
    return "", 204


@studies_api.get("/studies/<number:number>/results")
def results(number: int) -> Response:
    """The last reading in full, as `hemoscope read --json` writes it."""
    return results_file(actions.store(), actions.look_up(number).row, RESULT)


@studies_api.get("/studies/<number:number>/results/<path:name>")
def result(number: int, name: str) -> Response:
    return results_file(actions.store(), actions.look_up(number).row, name)


@studies_api.post("/studies/<number:number>/jobs")
def read_again(number: int) -> ResponseReturnValue:
    """Queue another reading, with another model or another series."""
    _expect(*FORMS)
    job_number = actions.read_again(number, request.form.get("model", ""), request.form.get("series", ""))
    return as_json.job(_job(job_number)), 202


@studies_api.get("/jobs/<number:number>")
def job(number: int) -> ResponseReturnValue:
    """How far a job is; who follows it after a restart of the server starts the work again."""
    actions.worker().wake()
    return as_json.job(_job(number))


@studies_api.post("/jobs/<number:number>/cancel")
def cancel(number: int) -> ResponseReturnValue:
    """Cancel a job that waits or runs; to cancel it twice is no error."""
    from web.history.jobs import cancel_job

    _job(number)
    cancelled = cancel_job(actions.store().database, number)
    now = _job(number)
    if not cancelled and now.state != "cancelled":
        raise JobEnded(f"Job {number} has ended already: it is {now.state}.")
    return as_json.job(now)


def _expect(*types: str) -> None:
    """Refuse a body of another type than these; none at all is left to who looks for what is missing."""
    if request.mimetype and request.mimetype not in types:
        raise UnsupportedMediaType(f"Send a form ({' or '.join(types)}); got {request.mimetype[:64]!r}.")


def _job(number: int) -> "JobState":
    from web.history.jobs import job_state

    return job_state(actions.store().database, number)


def _names(known: "Known") -> tuple[str, ...]:
    try:
        return downloads(results_folder(actions.store(), known.row))
    except NotRead:
        return ()
