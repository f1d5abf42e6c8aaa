"""What goes into the history and what comes out: immutable values, checked where they come in.

In: facts from a header, numbers from a reading. Out: the same, or an error that says what is wrong.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from hemoscope.errors import HemoscopeError
from hemoscope.findings import Finding
from hemoscope.labels import CLASSES, SUBTYPES


class UnknownStudy(HemoscopeError):
    """There is no such study, or no longer."""

    status = 404


class UnknownPatient(HemoscopeError):
    """There is no such patient, or no longer."""

    status = 404


@dataclass(frozen=True)
class StudyFacts:
    """What the headers of a study state; "" where they state nothing. Never logged.

    Attributes:
        patient_id, patient_id_issuer: (0010,0020) and (0010,0021); together they tell patients apart.
        patient_name, patient_sex, patient_age: as stated.
        study_uid: Study Instance UID.
        study_date, study_time: as DICOM writes them (DA: `YYYYMMDD`, TM: `HHMMSS.FFFFFF`), on the scanner's clock.
        description: Study Description.
    """

    patient_id: str = ""
    patient_id_issuer: str = ""
    patient_name: str = ""
    patient_sex: str = ""
    patient_age: str = ""
    study_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    description: str = ""


@dataclass(frozen=True)
class SeriesFacts:
    """One series of a study, whether it is the one to read, and why in a sentence."""

    series_uid: str
    series_number: int | None
    description: str
    kernel: str
    slices: int
    chosen: bool
    reason: str


@dataclass(frozen=True)
class ReadingFacts:
    """What a model found in a study.

    Attributes:
        model, version: of the weights.
        finding: the decision for the whole study.
        probabilities: by class, 0..1; None for one that the model does not assess.
        volume_ml: of all blood, in millilitres; None where the geometry or a mask is missing.
        uncertainty_ml: half the width of its 95 % interval, or None.
        subtype_volumes_ml: by subtype, where the model tells them apart.
        lesion_volumes_ml: of each lesion, the largest first.
        key_slices: the slices to look at first, numbered from 0 in the read series.
        seconds: that the reading took.
        notes: sentences.

    Raises:
        ValueError: for what no reading can say: an unknown finding or class, a probability outside 0..1, a volume that
            is negative or no number.
    """

    model: str
    version: str
    finding: Finding
    probabilities: Mapping[str, float | None]
    volume_ml: float | None = None
    uncertainty_ml: float | None = None
    subtype_volumes_ml: Mapping[str, float] | None = None
    lesion_volumes_ml: tuple[float, ...] = ()
    key_slices: tuple[int, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.finding not in ("hemorrhage", "uncertain", "none"):
            raise ValueError(f"a finding is hemorrhage, uncertain or none, got {self.finding!r}")
        subtypes = self.subtype_volumes_ml or {}
        if not set(self.probabilities) <= set(CLASSES) or not set(subtypes) <= set(SUBTYPES):
            raise ValueError(f"classes must be among {', '.join(CLASSES)}")
        if not all(value is None or 0 <= value <= 1 for value in self.probabilities.values()):
            raise ValueError("a probability lies between 0 and 1")
        amounts = (self.volume_ml, self.uncertainty_ml, *subtypes.values(), *self.lesion_volumes_ml, self.seconds)
        if not all(amount is None or (math.isfinite(amount) and amount >= 0) for amount in amounts):
            raise ValueError("volumes and seconds are finite and not below 0")
        if any(number < 0 for number in self.key_slices):
            raise ValueError("slices are numbered from 0")


@dataclass(frozen=True)
class KeptStudy:
    """A study after it was sent.

    Attributes:
        number: by which the history knows it.
        new: False where the same files had been sent before; nothing was changed then.
        content_hash: of its files.
        warnings: sentences, for example of text burnt into the pictures.
    """

    number: int
    new: bool
    content_hash: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Removed:
    """One study that was removed for good: its number, when it had been received, and what its files took."""

    number: int
    received_at: datetime
    size_bytes: int


def parse_date(written: str) -> date | None:
    """A DICOM date (PS3.5 6.2, DA), or None for an empty, old-fashioned or impossible one."""
    digits = written.strip()
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def parse_time(written: str) -> time | None:
    """A DICOM time (PS3.5 6.2, TM: `HH`, `HHMM`, `HHMMSS` or with a fraction), or None where it is none."""
    whole, _, fraction = written.strip().partition(".")
    digits = whole + fraction
    if len(whole) not in (2, 4, 6) or len(fraction) > 6 or not digits.isascii() or not digits.isdigit():
        return None
    try:
        parts = [int(whole[place : place + 2]) for place in range(0, len(whole), 2)]
        hour, minute, second = [*parts, 0, 0][:3]
        return time(hour, minute, second, int(fraction.ljust(6, "0")))
    except ValueError:
        return None
