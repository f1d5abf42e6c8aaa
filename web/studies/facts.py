"""What the page of a study says beside its pictures, in words.

In: a row of the history, its last reading as it lies on disk, and the change since the prior. Out: `StudyFacts`, which
the template only lays out. Slices have the numbers that the viewer gives them: those that the model read, from 1.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hemoscope.findings import Finding
from hemoscope.labels import ANY, CLASSES, SUBTYPES
from hemoscope.measuring.values import MidlineShift, Volume
from hemoscope.studies import LeftOut
from web.cards import HEADLINES, Bar, colour_of, explained, percent
from web.studies.protocol import Outline
from web.studies.recorded import Recorded, RecordedLesion, RecordedSeries
from web.studies.stated import Fact, geometry_facts, patient_facts, reading_facts

if TYPE_CHECKING:
    from web.history.timeline import Change
    from web.history.worklist import Row
    from web.studies.stored import StoredStudy

CLEARLY = 0.7  # of a direction cosine: nearer to this axis than to any other
CHANGES = {"new": "New bleeding", "grown": "Grown", "not_grown": "Not grown"}


@dataclass(frozen=True)
class Place:
    """A slice to go to: its number, what to call it, and what there is to see."""

    number: int
    name: str
    words: str
    finding: Finding


@dataclass(frozen=True)
class Amount:
    """A volume of blood in words, with the colour of its class."""

    name: str
    colour: str
    words: str


@dataclass(frozen=True)
class LesionRow:
    """One bleed in the table."""

    name: str
    colour: str
    volume: str
    abc2: str
    diameters: str
    depth: str
    density: str
    slices: str
    largest: Place
    reaches_end: bool


@dataclass(frozen=True)
class Midline:
    """The midline shift: how much, in words, and where; without `place` why it is not known."""

    words: str
    place: Place | None


@dataclass(frozen=True)
class Growth:
    """What happened since the prior.

    Attributes:
        word: one or two words; "" where nothing can be said so shortly.
        kind: see `web.history.timeline.Change`.
        sentence: the same with its numbers and limits.
        prior: the number of the prior study; None where there is none.
    """

    word: str
    kind: str
    sentence: str
    prior: int | None


@dataclass(frozen=True)
class StudyFacts:
    """Everything that the page says of a study that was read."""

    finding: Finding
    headline: str
    explanation: str
    bars: tuple[Bar, ...]
    band: tuple[float, float]
    look_first: tuple[Place, ...]
    blood: str
    volume: str
    by_subtype: tuple[Amount, ...]
    lesions: tuple[LesionRow, ...]
    smaller: str
    midline: Midline
    growth: Growth
    patient: tuple[Fact, ...]
    geometry: tuple[Fact, ...]
    reading: tuple[Fact, ...]
    series: tuple[RecordedSeries, ...]
    series_read: str
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def facts_of(row: "Row", study: "StoredStudy", change: "Change") -> StudyFacts:
    """Put what is known of a study into words."""
    said, outline = study.recorded, study.outline
    probability = said.probabilities[ANY] or 0.0
    return StudyFacts(
        finding=said.finding,
        headline=HEADLINES[said.finding],
        explanation=explained(said.finding, probability, study.band),
        bars=tuple(Bar(name, colour_of(name), said.probabilities[name]) for name in CLASSES),
        band=study.band,
        look_first=tuple(_place(said, outline, index) for index in said.look_first),
        blood="" if said.total is None else f"Blood {amount(said.total)}",
        volume=said.volume_unknown if said.total is None else amount(said.total),
        by_subtype=tuple(_amounts(said)),
        lesions=tuple(_lesion_row(number, one, said, outline) for number, one in enumerate(said.lesions, 1)),
        smaller=_smaller(said.smaller_pieces),
        midline=_midline(said, outline),
        growth=Growth(CHANGES.get(change.kind, ""), change.kind, change.sentence, change.prior_number),
        patient=patient_facts(row),
        geometry=geometry_facts(said, outline),
        reading=reading_facts(row, said),
        series=said.candidates,
        series_read=said.series,
        left_out=said.left_out,
        warnings=row.warnings,
        notes=tuple(dict.fromkeys((*outline.notes, *said.notes))),
    )


def amount(volume: Volume) -> str:
    """A volume with what it may be off by."""
    digits = 1 if volume.ml >= 1 or volume.ml == 0 else 2
    return _unbroken(f"{volume.ml:.{digits}f} ± {volume.uncertainty_ml:.{digits}f} ml")


def series_name(one: RecordedSeries) -> str:
    """What a series is called in a list to pick from."""
    return f"{one.key}: {one.description or 'no description'}, {one.slices} slices"


def _unbroken(words: str) -> str:
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def slice_name(said: Recorded, index: int) -> str:
    """What the viewer calls a slice, and the stored ones behind it where they were averaged."""
    stored = said.stored[index]
    if len(stored) == 1:
        return f"slice {index + 1}"
    return f"slice {index + 1} (stored {stored[0] + 1} to {stored[-1] + 1})"


def _place(said: Recorded, outline: Outline, index: int, words: str = "") -> Place:
    one = outline.slices[index]
    probability = one.probabilities[ANY] or 0.0
    return Place(index + 1, slice_name(said, index), words or percent(probability), one.finding)


def _amounts(said: Recorded) -> list[Amount]:
    volumes = said.by_subtype or {}
    return [Amount(name, colour_of(name), amount(volumes[name])) for name in SUBTYPES if name in volumes]


def _lesion_row(number: int, one: RecordedLesion, said: Recorded, outline: Outline) -> LesionRow:
    largest_mm, across_mm = one.diameters_mm
    first, last = one.first_slice + 1, one.last_slice + 1
    return LesionRow(
        name=f"{number}" + (f" {one.subtype}" if one.subtype else ""),
        colour=colour_of(one.subtype or ANY),
        volume=amount(one.volume),
        abc2=_unbroken(f"{one.abc2_ml:.1f} ml"),
        diameters=_unbroken(f"{largest_mm:.0f} x {across_mm:.0f} mm"),
        depth="not known" if one.depth_mm is None else _unbroken(f"{one.depth_mm:.0f} mm"),
        density="not known" if one.mean_hu is None else _unbroken(f"{one.mean_hu:.0f} HU"),
        slices=f"{first}" if first == last else f"{first} to {last}",
        largest=_place(said, outline, one.largest_slice),
        reaches_end=one.reaches_end,
    )


def _smaller(pieces: int) -> str:
    if not pieces:
        return ""
    return f"{pieces} smaller {'pieces' if pieces > 1 else 'piece'} in the total, not listed."


def _midline(said: Recorded, outline: Outline) -> Midline:
    one = said.midline
    if one is None:
        return Midline(said.midline_unknown, None)
    words = _unbroken(f"{one.shift_mm:.1f} ± {one.uncertainty_mm:.1f} mm") + _towards(one, outline)
    return Midline(words, _place(said, outline, one.slice))


def _towards(one: MidlineShift, outline: Outline) -> str:
    """The side that the brain's middle moved to: the patient's where the columns run left and right (PS3.3 C.7.6.2)."""
    to_left = 0.0 if outline.orientation is None else outline.orientation[0]
    if one.towards_column == 0 or abs(to_left) < CLEARLY:
        return ""
    return f" to the patient's {'left' if (one.towards_column > 0) == (to_left > 0) else 'right'}"
