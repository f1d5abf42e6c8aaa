"""What is done with studies, for the pages and for the API alike: send, look up, read again.

In: the request's form, or a study's number. Out: what became of it; errors with the sentence that both show.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app

from hemoscope.errors import BadRequest, HemoscopeError
from web.engine import engine
from web.history.opening import History, Store
from web.history.records import SeriesFacts
from web.settings import Settings
from web.studies.sending import sent_studies
from web.studies.working import Worker

if TYPE_CHECKING:
    from web.history.jobs import JobState
    from web.history.worklist import Row
    from web.studies.intake import TakenIn

_KEY = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4})?")  # of a series or a stack; whether it is there the reading finds out


class AlreadyReading(HemoscopeError):
    """A reading of this study waits or runs."""

    status = 409


@dataclass(frozen=True)
class Known:
    """What the history knows of a study.

    Attributes:
        row: its facts, and its last reading.
        series: those that came.
        job: the one that was queued last; None where none was.
    """

    row: "Row"
    series: tuple[SeriesFacts, ...]
    job: "JobState | None"

    @property
    def is_worked_on(self) -> bool:
        """Whether a reading of it waits or runs."""
        return self.job is not None and self.job.waits_or_runs

    @property
    def pickable(self) -> dict[str, SeriesFacts]:
        """The series that can be picked, by UID: one without a UID cannot be told from others."""
        return {one.series_uid: one for one in self.series if one.slices and one.series_uid}


def store() -> Store:
    """The open history of this application."""
    history: History = current_app.extensions["history"]
    return history.store()


def worker() -> Worker:
    """What reads the studies of this application."""
    found: Worker = current_app.extensions["worker"]
    return found


def send() -> "TakenIn":
    """Keep the studies of the request and queue their readings.

    Raises:
        BadRequest: where no file came, or no series is called as the form says.
        UnknownModel: where there is no model of that name.
        BadScan: see `intake.take_in`.
        RequestEntityTooLarge, ServiceUnavailable: see `sending.sent_studies`.
    """
    from web.studies.intake import take_in

    settings: Settings = current_app.extensions["settings"]
    opened = store()
    with sent_studies(opened, settings) as sent:
        model = engine().known(sent.fields.get("model", ""))
        taken = take_in(opened, sent.paths, model, sent.fields.get("series", ""), sent.names)
    worker().wake()
    return taken


def look_up(number: int) -> Known:
    """A study and its last job; what waits is worked on from now, also after a restart of the server.

    Raises:
        UnknownStudy: where there is none of that number.
    """
    from web.history.jobs import latest_job
    from web.history.worklist import study

    database = store().database
    found = study(database, number)
    worker().wake()
    return Known(found.row, found.series, latest_job(database, number))


def read_again(number: int, model: str, series: str) -> int:
    """Queue another reading of a study; gives the job's number.

    Args:
        model: its name; "" for the server's default.
        series: by its UID, or by the key that results list; "" for the one that the rules choose.

    Raises:
        UnknownStudy, UnknownModel: where there is no such thing.
        BadRequest: where the study has no such series.
        AlreadyReading: where a reading of it waits or runs.
    """
    from web.history.jobs import queue_job

    known = look_up(number)
    wanted = engine().known(model)
    if series and series not in known.pickable and not _KEY.fullmatch(series):
        there = ", ".join(known.pickable) or "none that has a UID"
        raise BadRequest(f"There is no series {series[:64]!r} in this study; there are {there}.")
    if known.job is not None and known.is_worked_on:
        raise AlreadyReading(f"Job {known.job.number} of this study waits or runs: follow it, or cancel it first.")
    job = queue_job(store().database, number, wanted, series)
    worker().wake()
    return job
