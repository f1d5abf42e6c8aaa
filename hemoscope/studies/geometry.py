"""Where slices lie: their order, their distances, the gantry's tilt, and how a picture must be turned.

In: positions and orientations as DICOM states them (PS3.3 C.7.6.2.1.1; x to the patient's left, y to the back, z to the
head). Out: facts in millimetres and degrees, and sentences about what is unusual. File names and instance numbers play
no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, degrees
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Plane = Literal["axial", "coronal", "sagittal"]
Position = tuple[float, float, float]

SAME_PLACE_MM = 0.02
_UNEVEN = 0.05  # of the usual distance
_UNEVEN_MM = 0.1  # and at least this: scanners round positions
_MULTIPLE = 0.15  # how near to a whole number of usual distances a gap is that slices are missing from
_OVERLAP = 0.9  # neighbours nearer than this share of their thickness overlap
_SHEARED_DEGREES = 0.5  # between the planes' normal and the way from slice to slice
_SHARE_OF_A_STEP = 1.5


@dataclass(frozen=True)
class Turn:
    """How a stored picture becomes one seen from the feet, the patient's face up and left side on the right.

    Only whole turns and mirrorings: no pixel changes its value. `transpose` comes first, then the flips.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Turn an image, or several: (..., rows, columns). A view."""
        turned = np.swapaxes(image, -1, -2) if self.transpose else image
        return turned[..., :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def undo(self, image: NDArray[Any]) -> NDArray[Any]:
        """From the turned picture's grid to the stored one's. A view."""
        flipped = image[..., :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return np.swapaxes(flipped, -1, -2) if self.transpose else flipped

    def undo_place(self, place_px: tuple[float, float], rows: int, columns: int) -> tuple[float, float]:
        """Where a point (row, column) of a turned picture of that size lies in the stored one."""
        row, column = place_px
        row = rows - 1 - row if self.flip_rows else row
        column = columns - 1 - column if self.flip_columns else column
        return (column, row) if self.transpose else (row, column)


@dataclass(frozen=True)
class Place:
    """The plane of one slice: `Scan`'s fields of one picture, and its grid."""

    position_mm: Position
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, float]
    rows: int
    columns: int

    def turned(self, turn: Turn) -> "Place":
        """The same plane, described for the turned picture: the pixels stay where they are in the patient."""
        across, down = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        between_rows, between_columns = self.spacing_mm
        rows, columns = self.rows, self.columns
        if turn.transpose:
            across, down = down, across
            between_rows, between_columns = between_columns, between_rows
            rows, columns = columns, rows
        first = np.array(self.position_mm)
        if turn.flip_rows:
            first, down = first + down * between_rows * (rows - 1), -down
        if turn.flip_columns:
            first, across = first + across * between_columns * (columns - 1), -across
        return Place(
            position_mm=(float(first[0]), float(first[1]), float(first[2])),
            orientation=(*map(float, across), *map(float, down)),
            spacing_mm=(between_rows, between_columns),
            rows=rows,
            columns=columns,
        )


def turn_of(orientation: Sequence[float]) -> Turn:
    """The turn that brings an axial picture nearest to rows that run to the patient's left and columns to the back."""
    across, down = np.array(orientation[:3]), np.array(orientation[3:])
    transpose = abs(down[0]) > abs(across[0])
    if transpose:
        across, down = down, across
    return Turn(bool(transpose), flip_rows=bool(down[1] < 0), flip_columns=bool(across[0] < 0))


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """The unit normal of a plane, towards the head in axial ones; in others towards the back or the patient's left."""
    normal = np.cross(np.array(orientation[:3], float), np.array(orientation[3:], float))
    normal /= np.linalg.norm(normal)
    largest = int(np.argmax(np.abs(normal)))
    return normal if normal[largest] > 0 else -normal


def plane_of(orientation: Sequence[float]) -> Plane:
    """Which way the slices are cut; oblique ones count to the nearest."""
    planes: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
    return planes[int(np.argmax(np.abs(normal_of(orientation))))]


def heights_mm(positions_mm: Sequence[Position], orientation: Sequence[float]) -> NDArray[np.float64]:
    """How far each slice lies along the normal: what slices are sorted by, from the feet to the head."""
    heights: NDArray[np.float64] = np.array(positions_mm, float) @ normal_of(orientation)
    return heights


@dataclass(frozen=True)
class Course:
    """How a stack runs from its first slice to its last, from the feet to the head.

    Attributes:
        gaps_mm: from each slice to the next, across the planes: what volumes are made of.
        steps_mm: from each slice to the next along the table; longer than the gaps where the gantry is tilted.
        tilt_degrees: how far the planes lean from upright about the left-right axis; positive where their front is
            higher than their back. Of a reformatted oblique series too.
        sheared: whether the slices are shifted against each other, as under a tilted gantry.
        missing: (index of the slice before the gap, how many are missing).
        overlaps: how many neighbours lie nearer than they are thick.
    """

    gaps_mm: tuple[float, ...]
    steps_mm: tuple[float, ...]
    tilt_degrees: float
    sheared: bool
    missing: tuple[tuple[int, int], ...]
    overlaps: int

    @property
    def usual_gap_mm(self) -> float | None:
        """The median gap, or None for one slice."""
        return float(np.median(self.gaps_mm)) if self.gaps_mm else None

    @property
    def extent_mm(self) -> float:
        return sum(self.gaps_mm)

    @property
    def distinct_steps_mm(self) -> tuple[float, ...]:
        """The steps that differ from one another, in the order in which they first come."""
        return tuple(self.steps_mm[index] for index in self._distinct())

    @property
    def distinct_gaps_mm(self) -> tuple[float, ...]:
        """The gaps of `distinct_steps_mm`."""
        return tuple(self.gaps_mm[index] for index in self._distinct())

    @property
    def uneven(self) -> bool:
        return len(self._distinct()) > 1

    def _distinct(self) -> list[int]:
        found: list[int] = []
        for index, step in enumerate(self.steps_mm):
            if all(abs(step - self.steps_mm[one]) > max(_UNEVEN_MM, _UNEVEN * self.steps_mm[one]) for one in found):
                found.append(index)
        return found

    def sentences(self) -> tuple[str, ...]:
        """What is unusual, for people; slices are counted from 1, from the feet."""
        said = []
        if abs(self.tilt_degrees) >= _SHEARED_DEGREES:
            alone = "The gantry was tilted, or the slice is oblique"
            kind = "The gantry was tilted" if self.sheared else "The slices are oblique" if self.gaps_mm else alone
            said.append(f"{kind}: the planes lean by {self.tilt_degrees:+.1f}°.")
        if self.uneven:
            across = f" ({_listed(self.distinct_gaps_mm)} mm across the tilted planes)" if self.sheared else ""
            said.append(f"The spacing is uneven: slices are {_listed(self.distinct_steps_mm)} mm apart{across}.")
        for before, count in self.missing:
            plural = "slices are" if count > 1 else "slice is"
            said.append(f"{count} {plural} missing between slices {before + 1} and {before + 2}.")
        if self.overlaps:
            said.append(f"Slices overlap their neighbours in {self.overlaps} of {len(self.gaps_mm)} places.")
        return tuple(said)


def course_of(
    positions_mm: Sequence[Position], orientation: Sequence[float], thicknesses_mm: Sequence[float | None]
) -> Course:
    """Describe slices that are in order.

    Args:
        positions_mm: of each slice's first pixel, rising along the normal.
        orientation: of all of them.
        thicknesses_mm: as stated, None where not.
    """
    places = np.array(positions_mm, float)
    gaps = np.diff(heights_mm(positions_mm, orientation))
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    normal = normal_of(orientation)
    sheared = False
    if len(places) > 1:
        way = places[-1] - places[0]
        lean = degrees(np.arccos(np.clip(way @ normal / np.linalg.norm(way), -1, 1)))
        sheared = bool(lean > _SHEARED_DEGREES)
    overlaps = sum(
        bool(gap < _OVERLAP * min(below, above))
        for gap, below, above in zip(gaps, thicknesses_mm[:-1], thicknesses_mm[1:], strict=True)
        if below is not None and above is not None
    )
    return Course(
        gaps_mm=tuple(map(float, gaps)),
        steps_mm=tuple(map(float, steps)),
        tilt_degrees=degrees(atan2(normal[1], normal[2])) if plane_of(orientation) == "axial" else 0.0,
        sheared=sheared,
        missing=tuple(_missing(gaps, thicknesses_mm)),
        overlaps=overlaps,
    )


def _missing(gaps: NDArray[np.float64], thicknesses_mm: Sequence[float | None]) -> list[tuple[int, int]]:
    """Gaps that are a multiple of those around them, and wider than the slices are thick."""
    found = []
    for index, gap in enumerate(gaps):
        around = np.concatenate([gaps[max(index - 2, 0) : index], gaps[index + 1 : index + 3]])
        if not len(around):
            continue
        share = gap / np.median(around)
        known = [one for one in thicknesses_mm[index : index + 2] if one is not None]
        thick = bool(known) and gap <= _SHARE_OF_A_STEP * max(known)
        if share >= 2 - _MULTIPLE and abs(share - round(share)) <= _MULTIPLE and not thick:
            found.append((index, round(share) - 1))
    return found


def _listed(lengths: Sequence[float]) -> str:
    said = [f"{length:.2f}" for length in lengths[:6]]
    more = f" and {len(lengths) - 6} other distances" if len(lengths) > 6 else ""
    return ", ".join(said[:-1]) + f" and {said[-1]}" if not more else ", ".join(said) + more
