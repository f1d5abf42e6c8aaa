"""The worklist: studies by urgency, and one study by its number.

In: a `Filter` and a page's number. Out: frozen rows for the pages. Order: hemorrhage, uncertain, not read yet, none;
within these the larger volume first, then the one received last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from web.history.database import Database
from web.history.readings import last_readings
from web.history.records import SeriesFacts, UnknownStudy
from web.history.tables import Patient, Reading, Study

ROWS_A_PAGE = 50
LONGEST_TEXT = 128
MOST_ROWS = 500
_URGENCY = {"hemorrhage": 0, "uncertain": 1, "none": 3}
_NOT_READ = 2  # it can hold anything, so it comes before those without a bleed


@dataclass(frozen=True)
class Filter:
    """Which studies to list; what is not given filters nothing.

    Attributes:
        finding: of the last reading; `not_read` where there is none.
        unread: only studies marked so, or only the others.
        first_date, last_date: of the study, both included; a study without a date is in neither range.
        text: each of its words stands somewhere in the patient's name, the patient ID or the description, whatever the
            case.

    Raises:
        ValueError: for a text of more than 128 letters; a database takes conditions of a limited length.
    """

    finding: Literal["hemorrhage", "uncertain", "none", "not_read"] | None = None
    unread: bool | None = None
    first_date: date | None = None
    last_date: date | None = None
    text: str = ""

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST_TEXT:
            raise ValueError(f"a text to look for has at most {LONGEST_TEXT} letters, got {len(self.text)}")


@dataclass(frozen=True)
class Read:
    """The reading of a study that counts; fields as in `records.ReadingFacts`."""

    model: str
    version: str
    finding: str
    probabilities: Mapping[str, float | None]
    volume_ml: float | None
    uncertainty_ml: float | None
    subtype_volumes_ml: Mapping[str, float]
    lesion_volumes_ml: tuple[float, ...]
    key_slices: tuple[int, ...]
    seconds: float
    notes: tuple[str, ...]
    made_at: datetime


@dataclass(frozen=True)
class Row:
    """A study in a list.

    Attributes:
        number: of the study; `patient_number` leads to the others of the same patient.
        patient_name, patient_id, patient_id_issuer: as stated; "" where not.
        matched_by: a sentence: what this study was matched with its patient by.
        study_uid, study_date, study_time, description: as stated; None or "" where not.
        received_at: in UTC.
        unread: nobody has looked at it since it was read.
        state: received, read or failed.
        content_hash, files, size_bytes: of its folder.
        deidentified: whether the identity was removed on the way in.
        warnings: sentences.
        read: None where no model has read it.
        patient_sex, patient_age: as DICOM writes them (`F`, `045Y`); "" where not stated.
    """

    number: int
    patient_number: int
    patient_name: str
    patient_id: str
    patient_id_issuer: str
    matched_by: str
    study_uid: str
    study_date: date | None
    study_time: time | None
    description: str
    received_at: datetime
    unread: bool
    state: str
    content_hash: str
    files: int
    size_bytes: int
    deidentified: bool
    warnings: tuple[str, ...]
    read: Read | None
    patient_sex: str = ""
    patient_age: str = ""


@dataclass(frozen=True)
class Page:
    """Some rows of a list: `number` counts from 1, `studies` is how many there are on all `pages` together."""

    rows: tuple[Row, ...]
    number: int
    pages: int
    studies: int


@dataclass(frozen=True)
class OneStudy:
    """A study with its series."""

    row: Row
    series: tuple[SeriesFacts, ...] = field(default=())


def worklist(database: Database, wanted: Filter, page: int = 1, rows_a_page: int = ROWS_A_PAGE) -> Page:
    """List studies, the most urgent first.

    Args:
        page: from 1; one that is too large gives the last.
        rows_a_page: 1 to 500.

    Raises:
        ValueError: for a page or a number of rows below 1, or too many rows.
    """
    if page < 1 or not 1 <= rows_a_page <= MOST_ROWS:
        raise ValueError(f"pages count from 1 and hold 1 to {MOST_ROWS} rows")
    chosen = rows_query().where(*_conditions(wanted))
    with database.reading() as session:
        studies = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
        pages = max(1, -(-studies // rows_a_page))
        number = min(page, pages)
        found = session.execute(chosen.order_by(*_order()).limit(rows_a_page).offset((number - 1) * rows_a_page))
        return Page(tuple(row_of(*entry) for entry in found), number, pages, studies)


def study(database: Database, number: int) -> OneStudy:
    """Look a study up.

    Raises:
        UnknownStudy: where there is none of that number.
    """
    with database.reading() as session:
        found = session.execute(rows_query().where(Study.id == number)).one_or_none()
        if found is None:
            raise UnknownStudy("This study is not in the history, or no longer.")
        series = tuple(
            SeriesFacts(
                one.series_uid, one.series_number, one.description, one.kernel, one.slices, one.chosen, one.reason
            )
            for one in found[0].series
        )
        return OneStudy(row_of(*found), series)


def rows_query() -> Select[Study, Patient, Reading]:
    """Select studies with their patient and the reading that counts, if there is one."""
    counts = and_(Reading.study_number == Study.id, Reading.id.in_(last_readings()))
    return select(Study, Patient, Reading).join(Study.patient).outerjoin(Reading, counts)


def row_of(study: Study, patient: Patient, reading: Reading | None) -> Row:
    """Make a frozen row of what `rows_query` gave."""
    return Row(
        number=study.id,
        patient_number=patient.id,
        patient_name=patient.name,
        patient_id=patient.patient_id,
        patient_id_issuer=patient.issuer,
        matched_by=study.matched_by,
        study_uid=study.study_uid,
        study_date=study.study_date,
        study_time=study.study_time,
        description=study.description,
        received_at=study.received_at,
        unread=study.unread,
        state=study.state,
        content_hash=study.content_hash,
        files=study.files,
        size_bytes=study.size_bytes,
        deidentified=study.deidentified,
        warnings=tuple(study.warnings),
        read=None if reading is None else _read_of(reading),
        patient_sex=patient.sex,
        patient_age=study.patient_age,
    )


def _read_of(reading: Reading) -> Read:
    return Read(
        model=reading.model,
        version=reading.version,
        finding=reading.finding,
        probabilities=reading.probabilities,
        volume_ml=reading.volume_ml,
        uncertainty_ml=reading.uncertainty_ml,
        subtype_volumes_ml=reading.subtype_volumes_ml,
        lesion_volumes_ml=tuple(reading.lesion_volumes_ml),
        key_slices=tuple(reading.key_slices),
        seconds=reading.seconds,
        notes=tuple(reading.notes),
        made_at=reading.made_at,
    )


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.finding == "not_read":
        conditions.append(Reading.id.is_(None))
    elif wanted.finding is not None:
        conditions.append(Reading.finding == wanted.finding)
    if wanted.unread is not None:
        conditions.append(Study.unread.is_(wanted.unread))
    if wanted.first_date is not None:
        conditions.append(Study.study_date >= wanted.first_date)
    if wanted.last_date is not None:
        conditions.append(Study.study_date <= wanted.last_date)
    for word in wanted.text.replace("\0", "").split():
        columns = (Patient.name, Patient.patient_id, Study.description)
        conditions.append(or_(*(column.icontains(word, autoescape=True) for column in columns)))
    return conditions


def _order() -> tuple[ColumnElement[Any], ...]:
    urgency = case(_URGENCY, value=Reading.finding, else_=_NOT_READ)
    return urgency, func.coalesce(Reading.volume_ml, -1.0).desc(), Study.received_at.desc(), Study.id.desc()
