"""What a reading wrote down about a study, as values: `out/result.json` of its folder.

In: the folder of a reading. Out: `Recorded`. We wrote the file ourselves (`hemoscope.results.study`), so nothing is
missing in it; what is not known is None. Slices are those that the model read, from the feet, counted from 0.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemoscope.findings import Finding
from hemoscope.measuring.values import MidlineShift, PlacePx, Volume
from hemoscope.results.folder import RESULT
from hemoscope.studies import Course, LeftOut
from web.studies.folder import OUT


@dataclass(frozen=True)
class RecordedLesion:
    """One bleed; the attributes are those of `hemoscope.measuring.values.Lesion`, `diameters_mm` largest and across."""

    volume: Volume
    first_slice: int
    last_slice: int
    largest_slice: int
    diameters_mm: tuple[float, float]
    abc2_ml: float
    depth_mm: float | None
    mean_hu: float | None
    subtype: str | None
    reaches_end: bool


@dataclass(frozen=True)
class RecordedSeries:
    """One series, or a stack of it, and what became of it.

    Attributes:
        key: what picks it.
        description: as stated.
        slices: that are stored of it; 0 where it has none.
        readable: whether it can be picked.
        chosen: whether the rules choose it.
        reason: why, in a sentence.
        left_out: files of it that are not read.
    """

    key: str
    description: str
    slices: int
    readable: bool
    chosen: bool
    reason: str
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class Recorded:
    """The reading of a study.

    Attributes:
        series: the key of the series that was read.
        model, version: what read it.
        finding, probabilities: of the whole study.
        total, by_subtype: volumes; None where they cannot be measured, or subtypes are not told apart.
        lesions: the largest first; `smaller_pieces` are counted only.
        midline: None where it was not found.
        volume_unknown, midline_unknown: why not, in a sentence; "" where it is known.
        notes: what a reader of the measurements should know.
        look_first: the slices with the likeliest blood.
        course: how the stored slices lie; None where they state no positions.
        stored: behind each slice that was read the stored ones, several where thin slices were averaged.
        candidates: all series of the study.
        left_out: files that belong to no series, or could not be read.
    """

    series: str
    model: str
    version: str
    finding: Finding
    probabilities: Mapping[str, float | None]
    total: Volume | None
    by_subtype: Mapping[str, Volume] | None
    lesions: tuple[RecordedLesion, ...]
    smaller_pieces: int
    midline: MidlineShift | None
    volume_unknown: str
    midline_unknown: str
    notes: tuple[str, ...]
    look_first: tuple[int, ...]
    course: Course | None
    stored: tuple[tuple[int, ...], ...]
    candidates: tuple[RecordedSeries, ...]
    left_out: tuple[LeftOut, ...]


def read_recorded(folder: Path) -> Recorded:
    """Read what a reading wrote down.

    Args:
        folder: of the reading.

    Raises:
        OSError: where it is not there.
    """
    said = json.loads((folder / OUT / RESULT).read_text(encoding="utf-8"))
    measured = said["measurements"]
    by_subtype = measured["by_subtype"]
    return Recorded(
        series=said["series"],
        model=said["model"],
        version=said["version"],
        finding=said["finding"],
        probabilities=said["probabilities"],
        total=_volume(measured["total"]),
        by_subtype=None if by_subtype is None else {name: Volume(**one) for name, one in by_subtype.items()},
        lesions=tuple(_lesion(one) for one in measured["lesions"]),
        smaller_pieces=measured["smaller_pieces"],
        midline=_midline(measured["midline"]),
        volume_unknown=measured["volume_unknown"],
        midline_unknown=measured["midline_unknown"],
        notes=tuple(measured["notes"]),
        look_first=tuple(said["look_first"]),
        course=_course(said["geometry"]),
        stored=tuple(tuple(one["stored"]) for one in said["slices"]),
        candidates=tuple(_series(one) for one in said["candidates"]),
        left_out=_left_out(said["left_out"]),
    )


def _volume(said: Mapping[str, float] | None) -> Volume | None:
    return None if said is None else Volume(**said)


def _lesion(said: Mapping[str, Any]) -> RecordedLesion:
    first, last = said["slices"]
    largest, across = said["diameters_mm"]
    return RecordedLesion(
        volume=Volume(**said["volume"]),
        first_slice=first,
        last_slice=last,
        largest_slice=said["largest_slice"],
        diameters_mm=(largest, across),
        abc2_ml=said["abc2_ml"],
        depth_mm=said["depth_mm"],
        mean_hu=said["mean_hu"],
        subtype=said["subtype"],
        reaches_end=said["reaches_end"],
    )


def _midline(said: Mapping[str, Any] | None) -> MidlineShift | None:
    if said is None:
        return None
    front, back = said["ideal_px"]
    return MidlineShift(
        shift_mm=said["shift_mm"],
        uncertainty_mm=said["uncertainty_mm"],
        towards_column=said["towards_column"],
        slice=said["slice"],
        ideal_px=(_place(front), _place(back)),
        midline_px=tuple(_place(place) for place in said["midline_px"]),
        farthest_px=_place(said["farthest_px"]),
    )


def _place(said: list[float]) -> PlacePx:
    row, column = said
    return row, column


def _course(said: Mapping[str, Any] | None) -> Course | None:
    if said is None:
        return None
    return Course(
        gaps_mm=tuple(said["gaps_mm"]),
        steps_mm=tuple(said["steps_mm"]),
        tilt_degrees=said["tilt_degrees"],
        sheared=said["gaps_mm"] != said["steps_mm"],  # only slices that are shifted are further apart along the table
        missing=tuple((one["after"], one["count"]) for one in said["missing"]),
        overlaps=said["overlaps"],
    )


def _series(said: Mapping[str, Any]) -> RecordedSeries:
    return RecordedSeries(
        key=said["key"],
        description=said["description"],
        slices=said["slices"],
        readable=said["readable"],
        chosen=said["chosen"],
        reason=said["reason"],
        left_out=_left_out(said["left_out"]),
    )


def _left_out(said: list[Mapping[str, str]]) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(one["name"], one["reason"]) for one in said)
