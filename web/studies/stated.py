"""What is stated of a study and of its reading, as names with words: patient, geometry, model.

In: a row of the history, the recorded reading and its outline. Out: `Fact` values in the order of the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hemoscope.studies import Course
from web.studies.protocol import Outline
from web.studies.recorded import Recorded
from web.wording import moment, person, stated_moment

if TYPE_CHECKING:
    from web.history.worklist import Row

UPRIGHT_DEGREES = 0.5  # a smaller tilt is none
SEXES = {"F": "female", "M": "male", "O": "other"}
AGES = {"D": "days", "W": "weeks", "M": "months", "Y": "years"}


@dataclass(frozen=True)
class Fact:
    """A name and what is stated."""

    name: str
    words: str


def age(written: str) -> str:
    """An age as DICOM writes it (PS3.5 6.2, AS: `045Y`); as it stands where it is written otherwise."""
    count, unit = written[:-1], written[-1:]
    return f"{int(count)} {AGES[unit]}" if count.isascii() and count.isdigit() and unit in AGES else written


def patient_facts(row: "Row") -> tuple[Fact, ...]:
    """Who and when, as the headers state it."""
    issuer = f", issued by {row.patient_id_issuer}" if row.patient_id_issuer else ", issuer not stated"
    stated = [
        ("Name", person(row.patient_name)),
        ("Patient ID", f"{row.patient_id}{issuer}" if row.patient_id else ""),
        ("Sex", SEXES.get(row.patient_sex, row.patient_sex)),
        ("Age", age(row.patient_age)),
        ("Study of", stated_moment(row.study_date, row.study_time)),
        ("Description", row.description),
    ]
    facts = [Fact(name, words or "not stated") for name, words in stated]
    kept = f"{moment(row.received_at)} UTC, {row.files} files, {row.size_bytes / 1e6:.1f} MB"
    removed = [Fact("Identity", "removed when the study was kept")] if row.deidentified else []
    return (*facts, Fact("Matched", row.matched_by), Fact("Kept", kept), *removed)


def geometry_facts(said: Recorded, outline: Outline) -> tuple[Fact, ...]:
    """How the slices lie."""
    facts = [Fact("Slices", _slices(said)), Fact("Picture", _picture(outline))]
    if said.course is None:
        return (*facts, Fact("Positions", "not stated: neither distances nor volumes are known"))
    return (*facts, *_course(said.course))


def _slices(said: Recorded) -> str:
    stored = sum(map(len, said.stored))
    if stored == len(said.stored):
        return f"{stored}"
    return f"{stored} stored thin ones, averaged to {len(said.stored)}"


def _picture(outline: Outline) -> str:
    size = f"{outline.columns} x {outline.rows} px"
    if outline.spacing_mm is None:
        return f"{size}; the size of a pixel is not stated"
    between_rows, between_columns = outline.spacing_mm
    each = (
        f"{between_columns:.3g}" if between_rows == between_columns else f"{between_columns:.3g} x {between_rows:.3g}"
    )
    return f"{size} of {each} mm"


def _course(course: Course) -> list[Fact]:
    tilted = abs(course.tilt_degrees) >= UPRIGHT_DEGREES
    front = "higher" if course.tilt_degrees > 0 else "lower"
    kind = "gantry tilted" if course.sheared else "oblique"
    missing = ", ".join(f"{count} after stored slice {after + 1}" for after, count in course.missing)
    spacing = "" if not course.gaps_mm else listed(course.distinct_steps_mm)
    if spacing and course.uneven:
        spacing += ", changing"
    facts = [
        Fact("Spacing", spacing or "one slice only"),
        Fact("Extent", f"{course.extent_mm:.0f} mm from the first to the last"),
        Fact("Tilt", f"{course.tilt_degrees:+.1f}°, {kind}: the front is {front}" if tilted else "none"),
        Fact("Missing", missing or "none"),
        Fact("Overlapping", f"in {course.overlaps} of {len(course.gaps_mm)} places" if course.overlaps else "none"),
    ]
    if course.sheared and spacing:
        facts.insert(1, Fact("Across the planes", listed(course.distinct_gaps_mm)))
    return facts


def listed(lengths_mm: Sequence[float]) -> str:
    """Distances as a list, cut after six."""
    said = [f"{length:.2f}" for length in lengths_mm[:6]]
    more = f" and {len(lengths_mm) - 6} others" if len(lengths_mm) > 6 else ""
    return f"{', '.join(said)}{more} mm"


def reading_facts(row: "Row", said: Recorded) -> tuple[Fact, ...]:
    """What read the study, and when."""
    read = row.read
    facts = [Fact("Model", f"{said.model} {said.version}"), Fact("Series", said.series)]
    if read is not None:
        facts.append(Fact("Read", f"{moment(read.made_at)} UTC, in {read.seconds:.1f} s"))
    return tuple(facts)
