"""The worklist and what can be done to a study from it: mark it, delete it.

In: a form in the address, or posts. Out: HTML that is complete without scripts. A wrong value in the address gives the
page with a sentence instead of that filter. docs/reference/worklist.md says what stands where.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, get_args

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hemoscope.errors import BadRequest
from hemoscope.findings import Finding
from web.access import keep_by_no_cache, require_history
from web.history.opening import Store
from web.history.records import UnknownStudy
from web.wording import FINDINGS

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.history.worklist import Filter, Row

worklist_pages = Blueprint("worklist", __name__)
worklist_pages.before_request(require_history)
worklist_pages.after_request(keep_by_no_cache)

CHOICES = {"finding": (*get_args(Finding), "not_read"), "unread": ("yes", "no")}
FILTERS = ("finding", "unread", "first_date", "last_date", "text")
LARGEST_NUMBER = 2**31 - 1  # that PostgreSQL can look for in an integer column


@dataclass(frozen=True)
class Line:
    """A study in the list, and in a sentence where its reading stands, "" where there is nothing to say."""

    row: "Row"
    progress: str


@worklist_pages.get("/worklist/")
def page() -> str:
    from web.history.jobs import last_jobs
    from web.history.worklist import Filter, worklist

    database = store().database
    wanted, problems = _filter()
    found = worklist(database, wanted, _page_number(problems))
    jobs = last_jobs(database, [row.number for row in found.rows])
    now = datetime.now(UTC)
    return render_template(
        "worklist.html",
        found=found,
        lines=[Line(row, progress_of(jobs.get(row.number), now)) for row in found.rows],
        history_is_empty=found.studies == 0 and worklist(database, Filter(), rows_a_page=1).studies == 0,
        asked=_asked(),
        problems=problems,
        deleted=_deleted_number(),
        findings=FINDINGS,
    )


@worklist_pages.post(f"/studies/<int(max={LARGEST_NUMBER}):number>/unread")
def mark(number: int) -> Response:
    """Mark a study as looked at or not, and go back to where it stands in the list."""
    from web.history.keeping import set_unread

    unread = request.form.get("unread")
    if unread not in CHOICES["unread"]:
        raise BadRequest("Whether the study is unread is yes or no.")
    set_unread(store().database, number, unread == "yes")
    return _back_to_list(_anchor=f"study-{number}")


@worklist_pages.get(f"/studies/<int(max={LARGEST_NUMBER}):number>/delete")
def confirm_deletion(number: int) -> str:
    """Say what would be deleted, before it is."""
    from web.history.jobs import last_jobs
    from web.history.timeline import timeline
    from web.history.worklist import study

    database = store().database
    row = study(database, number).row
    job = last_jobs(database, [number]).get(number)
    return render_template(
        "delete_study.html",
        row=row,
        others=len(timeline(database, row.patient_number).points) - 1,
        working=job is not None and job.state in ("queued", "running"),
        asked=_asked(),
    )


@worklist_pages.post(f"/studies/<int(max={LARGEST_NUMBER}):number>/delete")
def delete(number: int) -> Response:
    """Delete a study for good."""
    from web.history.keeping import delete_study

    opened = store()
    delete_study(opened.database, opened.files, number)
    return _back_to_list(deleted=number)


def store() -> Store:
    """The open history of this application."""
    opened: Store = current_app.extensions["history"].store()
    return opened


def progress_of(job: "JobState | None", now: datetime) -> str:
    """Where the reading of a study stands, in a sentence; "" where it is done or was never asked for."""
    if job is None or job.state == "done":
        return ""
    if job.state == "queued":
        return "Waits to be read."
    if job.state == "cancelled":
        return "The reading was cancelled."
    if job.state != "running":
        return job.message or "The reading failed."
    if job.slices is None:
        return "Is being read."
    left = job.seconds_left(now)
    rest = "" if left is None else f", about {max(1, round(left))} s left"
    return f"Is being read: {job.slices_done} of {job.slices} slices{rest}."


def _asked() -> dict[str, str]:
    """What the form asks for, as it was written: what is kept in every address of the list."""
    return {name: request.args[name] for name in FILTERS if request.args.get(name)}


def _filter() -> "tuple[Filter, list[str]]":
    """The filter that the address asks for, and a sentence for each part that cannot be read."""
    from web.history.worklist import Filter

    asked, problems = _asked(), []
    for name, choices in CHOICES.items():
        if name in asked and asked[name] not in choices:
            problems.append(f"There is no choice {asked[name]!r} of “{name}”; there are {', '.join(choices)}.")
            del asked[name]
    dates: dict[str, date | None] = {}
    for name in ("first_date", "last_date"):
        try:
            dates[name] = date.fromisoformat(asked[name]) if name in asked else None
        except ValueError:
            problems.append(f"{asked[name]!r} is no date; one looks like 2026-11-22.")
            dates[name] = None
    first, last = dates["first_date"], dates["last_date"]
    if first is not None and last is not None and first > last:
        problems.append("The first date lies after the last, so no study can lie between them.")
    finding: Any = asked.get("finding")  # one of the choices, or None
    unread = None if "unread" not in asked else asked["unread"] == "yes"
    return Filter(finding, unread, first, last, asked.get("text", "")), problems


def _page_number(problems: list[str]) -> int:
    """The page that the address asks for; the first, with a sentence, where that is none."""
    written = request.args.get("page") or "1"
    if written.isascii() and written.isdigit() and 1 <= len(written) <= 9 and int(written) >= 1:
        return int(written)
    problems.append("Pages are counted from 1; this is the first.")
    return 1


def _deleted_number() -> int | None:
    """The number of the study that was deleted just now; None where the address says so and it is not true."""
    from web.history.worklist import study

    number = request.args.get("deleted", type=int)
    if number is None or not 1 <= number <= LARGEST_NUMBER:
        return None
    try:
        study(store().database, number)
    except UnknownStudy:
        return number
    return None


def _back_to_list(**more: Any) -> Response:
    """To the list as it was: the forms carry its filter in their own address."""
    values: dict[str, Any] = {**_asked(), "page": request.args.get("page"), **more}
    return redirect(url_for("worklist.page", **values), 303)
