"""The tables of the history, as SQLAlchemy's typed declarative classes.

`migrations/` makes them; a test fails where the two disagree. Times are aware and in UTC, except a study's own date and
time, which DICOM states as the clock on the scanner's wall.
"""

from datetime import date, datetime, time

from sqlalchemy import JSON, BigInteger, CheckConstraint, Double, ForeignKey, Index, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from web.history.columns import MomentUTC

# DICOM PS3.5 6.2: LO holds 64 characters, UI 64 and PN 64 for each of three groups; twice as much for files that do not
# keep to it.
LONG_STRING, UID, PERSON_NAME = 128, 128, 400
HASH = 64
LONGEST_SENTENCE = 2000

STUDY_STATES = ("received", "read", "failed")
JOB_STATES = ("queued", "running", "done", "failed", "cancelled", "interrupted")
FINDINGS = ("hemorrhage", "uncertain", "none")

# A number is never given twice: an address of a deleted study must not lead to another patient's.
_NUMBERS = {"sqlite_autoincrement": True}


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class Base(DeclarativeBase):
    """Constraints have names, so that a migration can change them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_%(column_0_name)s_index",
            "uq": "%(table_name)s_%(column_0_name)s_unique",
            "ck": "%(table_name)s_%(constraint_name)s",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


class Patient(Base):
    """Who studies belong to: one for each patient ID and issuer, and one for each study without a patient ID."""

    __tablename__ = "patient"
    __table_args__ = (
        Index(
            "patient_identity",
            "patient_id",
            "issuer",
            unique=True,
            sqlite_where=text("patient_id <> ''"),
            postgresql_where=text("patient_id <> ''"),
        ),
        _NUMBERS,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = mapped_column(String(LONG_STRING))
    issuer: Mapped[str] = mapped_column(String(LONG_STRING))
    name: Mapped[str] = mapped_column(String(PERSON_NAME))
    sex: Mapped[str] = mapped_column(String(16))


class Study(Base):
    """One study as it was sent; `content_hash` names its folder."""

    __tablename__ = "study"
    __table_args__ = (CheckConstraint(_one_of("state", STUDY_STATES), "state"), _NUMBERS)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_number: Mapped[int] = mapped_column(ForeignKey("patient.id", ondelete="CASCADE"), index=True)
    matched_by: Mapped[str] = mapped_column(Text)
    study_uid: Mapped[str] = mapped_column(String(UID), index=True)
    study_date: Mapped[date | None]
    study_time: Mapped[time | None]
    patient_age: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(String(LONG_STRING))
    content_hash: Mapped[str] = mapped_column(String(HASH), unique=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(MomentUTC, index=True)
    unread: Mapped[bool]
    state: Mapped[str] = mapped_column(String(16))
    deidentified: Mapped[bool]
    warnings: Mapped[list[str]] = mapped_column(JSON)

    patient: Mapped[Patient] = relationship()
    series: Mapped[list["Series"]] = relationship(order_by="Series.id", passive_deletes=True)


class Series(Base):
    """One series of a study: whether it is the one that is read, and why."""

    __tablename__ = "series"
    __table_args__ = _NUMBERS

    id: Mapped[int] = mapped_column(primary_key=True)
    study_number: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), index=True)
    series_uid: Mapped[str] = mapped_column(String(UID))
    series_number: Mapped[int | None]
    description: Mapped[str] = mapped_column(String(LONG_STRING))
    kernel: Mapped[str] = mapped_column(String(LONG_STRING))
    slices: Mapped[int]
    chosen: Mapped[bool]
    reason: Mapped[str] = mapped_column(Text)


class Reading(Base):
    """What one model found in one study. The last one of a study counts."""

    __tablename__ = "reading"
    __table_args__ = (CheckConstraint(_one_of("finding", FINDINGS), "finding"), _NUMBERS)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_number: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), index=True)
    model: Mapped[str] = mapped_column(String(LONG_STRING))
    version: Mapped[str] = mapped_column(String(LONG_STRING))
    finding: Mapped[str] = mapped_column(String(16), index=True)
    probabilities: Mapped[dict[str, float | None]] = mapped_column(JSON)
    volume_ml: Mapped[float | None] = mapped_column(Double)
    uncertainty_ml: Mapped[float | None] = mapped_column(Double)
    subtype_volumes_ml: Mapped[dict[str, float]] = mapped_column(JSON)
    lesion_volumes_ml: Mapped[list[float]] = mapped_column(JSON)
    key_slices: Mapped[list[int]] = mapped_column(JSON)
    seconds: Mapped[float] = mapped_column(Double)
    notes: Mapped[list[str]] = mapped_column(JSON)
    made_at: Mapped[datetime] = mapped_column(MomentUTC)


class Job(Base):
    """The reading of a study as a piece of work: what survives a reload and a restart."""

    __tablename__ = "job"
    __table_args__ = (CheckConstraint(_one_of("state", JOB_STATES), "state"), _NUMBERS)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_number: Mapped[int] = mapped_column(ForeignKey("study.id", ondelete="CASCADE"), index=True)
    model: Mapped[str] = mapped_column(String(LONG_STRING))
    series: Mapped[str] = mapped_column(Text, server_default=text("''"))
    state: Mapped[str] = mapped_column(String(16), index=True)
    worker: Mapped[str] = mapped_column(String(64))
    slices_done: Mapped[int]
    slices: Mapped[int | None]
    message: Mapped[str] = mapped_column(Text)
    queued_at: Mapped[datetime] = mapped_column(MomentUTC)
    started_at: Mapped[datetime | None] = mapped_column(MomentUTC)
    heard_at: Mapped[datetime | None] = mapped_column(MomentUTC)
    ended_at: Mapped[datetime | None] = mapped_column(MomentUTC)
