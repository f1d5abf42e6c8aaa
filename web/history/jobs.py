"""Jobs: the reading of a study as work that a page can follow and stop, and that outlives a reload and a restart.

In: a study's number, then progress from whoever works. Out: `JobState`. A job changes its state in one statement that
also says which state it must be in, so two processes cannot both take it, and a cancelled one stays cancelled.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hemoscope.errors import HemoscopeError
from web.history.columns import plain
from web.history.database import Database
from web.history.readings import add_reading
from web.history.records import ReadingFacts, UnknownStudy
from web.history.tables import LONG_STRING, LONGEST_SENTENCE, UID, Job, Study

SILENT_SECONDS = 60.0  # a worker tells its progress after every slice, each well under a second
LIVE = ("queued", "running")
INTERRUPTED = "The server stopped while it read this study. Start the reading again."


class UnknownJob(HemoscopeError):
    """There is no such job, or its study was deleted."""

    status = 404


@dataclass(frozen=True)
class JobState:
    """Where a job stands.

    Attributes:
        number: by which the history knows it.
        study_number: what it reads.
        model: with which model.
        series: which series of it, by its key or UID; "" for the one that the rules choose.
        state: queued, running, done, failed, cancelled, or interrupted: its process died.
        slices_done, slices: progress; `slices` is None until it is known.
        message: a sentence for the person who waits; "" where there is nothing to say.
        queued_at, started_at, ended_at: in UTC.
    """

    number: int
    study_number: int
    model: str
    state: str
    slices_done: int
    slices: int | None
    message: str
    queued_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    series: str = ""

    @property
    def waits_or_runs(self) -> bool:
        """Whether it may still become a reading."""
        return self.state in LIVE

    def seconds_left(self, now: datetime) -> float | None:
        """How long it will run on at the pace so far; None where nothing can be said."""
        if self.state != "running" or not self.slices_done or self.slices is None or self.started_at is None:
            return None
        return (now - self.started_at).total_seconds() * (self.slices / self.slices_done - 1)


def queue_job(database: Database, study_number: int, model: str, series: str = "") -> int:
    """Ask for a reading; gives the job's number.

    Args:
        series: its key or UID, as `hemoscope.studies` picks it; "" for the one that the rules choose.

    Raises:
        UnknownStudy: where there is no study of that number.
    """
    try:
        with database.writing() as session:
            return _queue(session, study_number, model, series)
    except IntegrityError:
        raise UnknownStudy("This study is not in the history, or no longer.") from None


def queue_first_job(database: Database, study_number: int, model: str, series: str = "") -> int | None:
    """Like `queue_job`, for a study that was sent: None where it was read already or its reading waits or runs.

    Raises:
        UnknownStudy: where there is no study of that number.
    """
    with database.writing() as session:
        # Of two senders of one study the second waits here for the first.
        study = session.scalar(select(Study).where(Study.id == study_number).with_for_update())
        if study is None:
            raise UnknownStudy("This study is not in the history, or no longer.")
        alive = session.scalar(select(Job.id).where(Job.study_number == study_number, Job.state.in_(LIVE)).limit(1))
        return None if study.state == "read" or alive is not None else _queue(session, study_number, model, series)


def latest_job(database: Database, study_number: int) -> JobState | None:
    """The job of a study that was queued last; None where none was, or there is no such study."""
    return latest_jobs(database, [study_number]).get(study_number)


def latest_jobs(database: Database, study_numbers: Collection[int]) -> dict[int, JobState]:
    """The job that was queued last of each of these studies, by the study's number; one that has none is not in it."""
    last = select(func.max(Job.id)).where(Job.study_number.in_(study_numbers)).group_by(Job.study_number)
    with database.reading() as session:
        return {job.study_number: _state_of(job) for job in session.scalars(select(Job).where(Job.id.in_(last)))}


def latest_done_job(database: Database, study_number: int) -> JobState | None:
    """The job that ended last with a reading of a study; None where it was never read."""
    with database.reading() as session:
        done = select(Job).where(Job.study_number == study_number, Job.state == "done")
        job = session.scalar(done.order_by(Job.ended_at.desc(), Job.id.desc()).limit(1))
        return None if job is None else _state_of(job)


def job_state(database: Database, number: int) -> JobState:
    """Look a job up.

    Raises:
        UnknownJob: where there is none of that number.
    """
    with database.reading() as session:
        job = session.get(Job, number)
        if job is None:
            raise UnknownJob("There is no such reading, or its study was deleted.")
        return _state_of(job)


def take_job(database: Database, worker: str) -> JobState | None:
    """Take the job that has waited longest; None where none waits.

    Args:
        worker: a name of the process that works, unlike any other's.
    """
    with database.writing() as session:
        longest = (
            select(Job.id).where(Job.state == "queued").order_by(Job.id).limit(1).with_for_update(skip_locked=True)
        )
        number = session.scalar(longest)  # SQLite knows no locks on rows, and has one writer at a time
        if number is None:
            return None
        job = session.get_one(Job, number)
        job.state, job.worker = "running", worker
        job.started_at = job.heard_at = datetime.now(UTC)
        return _state_of(job)


def tell_progress(
    database: Database, number: int, worker: str, slices_done: int, slices: int, message: str = ""
) -> bool:
    """Note how far a job is, and in a sentence what it does.

    Returns:
        Whether to go on: False where it was cancelled, given up as dead, or deleted with its study.
    """
    values = {"slices_done": slices_done, "slices": slices, "message": plain(message, LONGEST_SENTENCE)}
    with database.writing() as session:
        return _change(session, number, worker, heard_at=datetime.now(UTC), **values)


def finish_job(database: Database, number: int, worker: str, facts: ReadingFacts) -> bool:
    """End a job with what was read, which becomes the study's reading in the same step.

    Returns:
        False where the job was cancelled, given up or deleted meanwhile; nothing is stored then.
    """
    with database.writing() as session:
        job = session.scalar(select(Job).where(Job.id == number, Job.worker == worker))
        if job is None or not _change(session, number, worker, state="done", message="", ended_at=datetime.now(UTC)):
            return False
        session.execute(update(Job).where(Job.id == number, Job.slices.is_not(None)).values(slices_done=Job.slices))
        add_reading(session, job.study_number, facts)
        return True


def fail_job(database: Database, number: int, worker: str, message: str) -> bool:
    """End a job that could not be done; `message` says why, in a sentence without the patient's facts."""
    said = plain(message, LONGEST_SENTENCE)
    with database.writing() as session:
        if not _change(session, number, worker, state="failed", message=said, ended_at=datetime.now(UTC)):
            return False
        job = session.get_one(Job, number)
        # A study that an earlier job has read stays read.
        waiting = update(Study).where(Study.id == job.study_number, Study.state == "received")
        session.execute(waiting.values(state="failed"))
        return True


def cancel_job(database: Database, number: int) -> bool:
    """Cancel a job that waits or runs; whoever works on it learns of it from `tell_progress`.

    Returns:
        False where it had ended already.
    """
    with database.writing() as session:
        change = update(Job).where(Job.id == number, Job.state.in_(LIVE))
        return _changed(session, change.values(state="cancelled", message="", ended_at=datetime.now(UTC)))


def mark_interrupted(database: Database, now: datetime) -> int:
    """Mark the jobs whose process has not been heard of for a minute. For the start, and now and then.

    Returns:
        How many there were.
    """
    with database.writing() as session:
        silent = Job.heard_at < now - timedelta(seconds=SILENT_SECONDS)
        change = update(Job).where(Job.state == "running", silent)
        result = session.execute(change.values(state="interrupted", message=INTERRUPTED, ended_at=now))
        return cast("CursorResult[Any]", result).rowcount


def _queue(session: Session, study_number: int, model: str, series: str) -> int:
    job = Job(
        study_number=study_number,
        model=plain(model, LONG_STRING),
        series=plain(series, UID),
        state="queued",
        worker="",
        slices_done=0,
        slices=None,
        message="",
        queued_at=datetime.now(UTC),
    )
    session.add(job)
    session.flush()
    return job.id


def _change(session: Session, number: int, worker: str, **values: object) -> bool:
    mine = update(Job).where(Job.id == number, Job.state == "running", Job.worker == worker)
    return _changed(session, mine.values(**values))


def _changed(session: Session, change: Any) -> bool:
    return cast("CursorResult[Any]", session.execute(change)).rowcount == 1


def _state_of(job: Job) -> JobState:
    return JobState(
        number=job.id,
        study_number=job.study_number,
        model=job.model,
        series=job.series,
        state=job.state,
        slices_done=job.slices_done,
        slices=job.slices,
        message=job.message,
        queued_at=job.queued_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
    )
