"""The worklist and what can be done to a study from it: mark it, delete it.

In: a form in the address, or posts. Out: HTML that is complete without scripts. A wrong value in the address gives the
page with a sentence instead of that filter. docs/reference/worklist.md says what stands where.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, get_args

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from hemoscope.errors import BadRequest
from hemoscope.findings import Finding
from web.access import require_history
from web.history.records import UnknownStudy
from web.numbers import LARGEST_NUMBER
from web.security import keep_by_no_cache
from web.studies.actions import store
from web.wording import FINDINGS

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.history.worklist import Filter, Row

worklist_pages = Blueprint("worklist", __name__)
worklist_pages.before_request(require_history)
worklist_pages.after_request(keep_by_no_cache)

CHOICES = {"finding": (*get_args(Finding), "not_read"), "unread": ("yes", "no")}
DATES = ("first_date", "last_date")
FILTERS = (*CHOICES, *DATES, "text")
A_DATE = "2026-11-22"  # a date as the address has it, for messages


@dataclass(frozen=True)
class Line:
    """A study in the list, and in a sentence where its reading stands, "" where there is nothing to say."""

    row: "Row"
    progress: str


@worklist_pages.get("/worklist/")
def page() -> str:
    from web.history.jobs import latest_jobs
    from web.history.worklist import Filter, worklist

    database = store().database
    asked, problems = _checked(_asked())
    found = worklist(database, _filter(asked, problems), _page_number(problems))
    jobs = latest_jobs(database, [row.number for row in found.rows])
    now = datetime.now(UTC)
    return render_template(
        "worklist.html",
        found=found,
        lines=[Line(row, progress_of(jobs.get(row.number), now)) for row in found.rows],
        history_is_empty=found.studies == 0 and worklist(database, Filter(), rows_a_page=1).studies == 0,
        asked=asked,
        problems=problems,
        deleted=_deleted_number(),
        findings=FINDINGS,
    )


@worklist_pages.post("/studies/<number:number>/unread")
def mark(number: int) -> Response:
    """Mark a study as looked at or not, and go back to where it stands in the list."""
    from web.history.keeping import set_unread

    unread = request.form.get("unread")
    if unread not in CHOICES["unread"]:
        raise BadRequest("Whether the study is unread is yes or no.")
    set_unread(store().database, number, unread == "yes")
    return _back_to_list(_anchor=f"study-{number}")


@worklist_pages.get("/studies/<number:number>/delete")
def confirm_deletion(number: int) -> str:
    """Say what would be deleted, before it is."""
    from web.history.jobs import latest_jobs
    from web.history.timeline import timeline
    from web.history.worklist import study

    database = store().database
    row = study(database, number).row
    job = latest_jobs(database, [number]).get(number)
    return render_template(
        "delete_study.html",
        row=row,
        others=len(timeline(database, row.patient_number).points) - 1,
        working=job is not None and job.state in ("queued", "running"),
        asked=_asked(),
    )


@worklist_pages.post("/studies/<number:number>/delete")
def delete(number: int) -> Response:
    """Delete a study for good."""
    from web.history.keeping import delete_study

    opened = store()
    delete_study(opened.database, opened.files, number)
    return _back_to_list(deleted=number)


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


def _checked(asked: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """What can be read of the filters that the address asks for, and a sentence for each other."""
    from web.history.worklist import LONGEST_TEXT

    problems = {}
    if len(asked.get("text", "")) > LONGEST_TEXT:
        problems["text"] = f"The text to look for has more than {LONGEST_TEXT} letters."
    for name, choices in CHOICES.items():
        if name in asked and asked[name] not in choices:
            problems[name] = f"There is no choice {asked[name]!r} of “{name}”; there are {', '.join(choices)}."
    for name in DATES:
        try:
            date.fromisoformat(asked.get(name, A_DATE))
        except ValueError:
            problems[name] = f"{asked[name]!r} is no date; one looks like {A_DATE}."
    return {name: value for name, value in asked.items() if name not in problems}, list(problems.values())


def _filter(asked: dict[str, str], problems: list[str]) -> "Filter":
    """The filter of what was checked; dates in the wrong order find nothing, which is said."""
    from web.history.worklist import Filter

    first, last = [date.fromisoformat(asked[name]) if name in asked else None for name in DATES]
    if first is not None and last is not None and first > last:
        problems.append("The first date lies after the last, so no study can lie between them.")
    finding: Any = asked.get("finding")  # one of the choices, or None
    unread = None if "unread" not in asked else asked["unread"] == "yes"
    return Filter(finding, unread, first, last, asked.get("text", ""))


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
