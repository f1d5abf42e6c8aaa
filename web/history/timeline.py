"""One patient's studies over time: how much blood there was in each, and what changed since the one before.

In: a patient's number. Out: frozen points, the oldest first. Patients are matched by ID and issuer (`keeping`); each
point says by what.

Grown means by more than a third or by more than 6 ml, the usual definition of hematoma expansion (Brott et al., Stroke
1997;28:1-5 for the third; Demchuk et al., PREDICT, Lancet Neurol 2012;11:307-314 for both together). It was made for
bleeds inside the brain and for the first day; here it marks any, over any time, so that somebody looks.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Literal

from web.history.database import Database
from web.history.records import UnknownPatient
from web.history.tables import Patient, Study
from web.history.worklist import Row, row_of, rows_query

GROWTH_SHARE = 1 / 3
GROWTH_ML = 6.0

Kind = Literal["first", "new", "grown", "not_grown", "unknown"]


@dataclass(frozen=True)
class Change:
    """What happened since the study before.

    Attributes:
        kind: `first` where there is none before, `new` where that showed no blood, `grown` by the rule above,
            `not_grown`, or `unknown`.
        prior_number: the study that was compared with, or None.
        difference_ml: volume now minus then, or None.
        sentence: the same for people, with what limits it.
    """

    kind: Kind
    prior_number: int | None
    difference_ml: float | None
    sentence: str


@dataclass(frozen=True)
class Point:
    """One study in time and what changed."""

    row: Row
    change: Change


@dataclass(frozen=True)
class Timeline:
    """A patient with all studies, the oldest first; those without a date come last and are compared with none."""

    patient_number: int
    patient_name: str
    patient_id: str
    patient_id_issuer: str
    points: tuple[Point, ...]


def timeline(database: Database, patient_number: int) -> Timeline:
    """Look up a patient's studies.

    Raises:
        UnknownPatient: where there is no patient of that number.
    """
    with database.reading() as session:
        patient = session.get(Patient, patient_number)
        if patient is None:
            raise UnknownPatient("This patient is not in the history, or no longer.")
        found = session.execute(rows_query().where(Study.patient_number == patient_number))
        rows = sorted((row_of(*entry) for entry in found), key=_moment)
        points = tuple(Point(row, change_since(_prior(rows[:place], row), row)) for place, row in enumerate(rows))
        return Timeline(patient.id, patient.name, patient.patient_id, patient.issuer, points)


def change_since(prior: Row | None, row: Row) -> Change:
    """Compare a study with the one before it by the rule of this module."""
    if row.study_date is None:
        return Change("unknown", None, None, "The study states no date, so it is not known what came before it.")
    if prior is None:
        return Change("first", None, None, "There is no earlier study of this patient that was read.")
    if row.read is None or prior.read is None:
        return Change("unknown", prior.number, None, "The study has not been read.")
    if not _surely_before(prior, row):
        return Change("unknown", prior.number, None, "Which of two studies of one day came first is not stated.")
    limits = "" if _reader(row) == _reader(prior) else " Different models or versions read the two."
    if row.read.volume_ml is None or prior.read.volume_ml is None:
        if prior.read.finding == "none" and row.read.finding == "hemorrhage":
            return Change("new", prior.number, None, f"Bleeding that the prior did not show.{limits}")
        return Change("unknown", prior.number, None, "Without a volume in both studies growth cannot be told.")
    return _compare(prior, prior.read.volume_ml, row, row.read.volume_ml, limits)


def _compare(prior: Row, before_ml: float, row: Row, now_ml: float, limits: str) -> Change:
    assert row.read is not None and prior.read is not None
    difference = now_ml - before_ml
    numbers = f"{before_ml:.1f} ml before, {now_ml:.1f} ml now"
    spread = (prior.read.uncertainty_ml or 0.0) ** 2 + (row.read.uncertainty_ml or 0.0) ** 2
    if 0 < abs(difference) < spread**0.5:
        limits += f" The difference is within the measurement's uncertainty (±{spread**0.5:.1f} ml)."
    if now_ml > 0 and before_ml == 0:
        kind: Kind = "new"
        what = "Bleeding" if row.read.finding == "hemorrhage" else "Possible bleeding"
        sentence = f"{what} that the prior did not show: {numbers}."
    elif difference > GROWTH_ML or difference > GROWTH_SHARE * before_ml:
        kind, sentence = "grown", f"Grown: {numbers}. The rule is more than 33 % or more than 6 ml."
    else:
        kind, sentence = "not_grown", f"Not grown: {numbers}. The rule is more than 33 % or more than 6 ml."
    return Change(kind, prior.number, difference, sentence + limits)


def _prior(earlier: list[Row], row: Row) -> Row | None:
    """The last earlier study that was read, other than the same study sent with other files."""
    for candidate in reversed(earlier):
        same = bool(row.study_uid) and candidate.study_uid == row.study_uid
        if candidate.read is not None and not same:
            return candidate
    return None


def _moment(row: Row) -> tuple[bool, date, time, datetime]:
    return row.study_date is None, row.study_date or date.max, row.study_time or time.max, row.received_at


def _surely_before(prior: Row, row: Row) -> bool:
    if prior.study_date != row.study_date:
        return True
    return prior.study_time is not None and row.study_time is not None and prior.study_time < row.study_time


def _reader(row: Row) -> tuple[str, str] | None:
    return None if row.read is None else (row.read.model, row.read.version)
