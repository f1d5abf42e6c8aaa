"""How far the middle of the brain lies beside the middle of the skull.

In: a calibrated axial `Scan` and the masks of blood. Out: `MidlineShift`, or `Unknown` with the reason.

Radiologists measure at the lateral ventricles: from the line between the falx's ends on the skull, front and back,
across to the septum between the ventricles. Here both lines come from the symmetry of the brain (as in Liao et al.,
Comput Biol Med 2010;40:331-339), since a skull's own is not enough: it can be wrong by 5 degrees.

- The ends of the falx do not move: in all slices they lie in one plane, three numbers for the whole head.
- Between them the midline of each slice bows to one side, a parabola that is 0 at both ends: one number a slice.
- Of all planes and bows those are taken about which the two sides of the brain are most alike: the mean correlation of
  their Hounsfield units, blood and the skull left out.

The bow is the shift, in the slice that shows most of the lateral ventricles. The uncertainty is by how much two fits
disagree that see every other slice each, by how much fits disagree that are as good, by how much the slice's neighbours
disagree, and by how much phantoms of known shift were missed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.measuring.slices import AXIAL
from hemoscope.measuring.straightening import GRID_MM, MIDDLE, Straight, straightened
from hemoscope.measuring.values import MidlineShift, PlacePx, Unknown
from hemoscope.scan import Scan

ENOUGH_SLICES = 8  # from so many on, every other one is enough for the coarse search
SLOPES = ((-0.12, -0.08), (-0.04, 0.0, 0.04), (0.08, 0.12))  # of the falx's plane, from the skull's first direction
OFFSETS_MM = (-4.0, 0.0, 4.0)
AS_GOOD = 0.02  # a fit whose symmetry is less by no more than this is as good
ROW_STEP = 2  # every other row is compared
REACH_MM = 20  # on each side of the midline the brain is compared: falx, ventricles and thalami, not the insula
LEAST_KNOWN = 0.25  # of the pairs of places: with less the rest is blood or skull
MOST_BOW_MM = 18.0
VENTRICLES = (0.25, 0.46)  # of the skull's length below its top: adults' bodies and front horns lie 42 to 78 mm below
LEAST_FLUID_MM2 = 30.0  # in the measured slice: ventricles that are pressed together still have twice as much
LEAST_SYMMETRY = 0.4  # correlation of the sides in the measured slice
NEAR_MM = 11.0  # slices so near to the measured one are its neighbours
MISSED_MM = 0.9  # standard deviation of the error on phantoms, see docs/reference/measurements.md
MOST_UNCERTAIN_MM = 3.5
DRAWN_POINTS = 25


@dataclass(frozen=True)
class Plane:
    """The plane of the falx's ends on the shared grid: x = MIDDLE + offset + lean * along + slope * (y - MIDDLE).

    `along` is counted from the mean of the slices; offset in mm, lean and slope in mm a mm.
    """

    offset: float
    lean: float
    slope: float
    centre_mm: float

    def x(self, one: Straight, y: NDArray[np.float32]) -> NDArray[np.float32]:
        """Columns of the grid where the plane cuts a slice."""
        start = MIDDLE + self.offset + self.lean * (one.along_mm - self.centre_mm)
        return (start + self.slope * (y - MIDDLE)).astype(np.float32)

    def moved(self, by: NDArray[np.float64]) -> "Plane":
        return Plane(self.offset + by[0], self.lean + by[1], self.slope + by[2], self.centre_mm)


@dataclass(frozen=True)
class Fit:
    """A plane, the bow (mm, to higher columns) about which each slice is most symmetric, and these correlations."""

    plane: Plane
    bows: tuple[float, ...]
    symmetries: tuple[float, ...]

    @property
    def symmetry(self) -> float:
        return sum(self.symmetries) / len(self.symmetries)


def midline_shift(scan: Scan, masks: Sequence[NDArray[np.bool_]]) -> MidlineShift | Unknown:
    """The shift of the midline in the slice that shows most of the lateral ventricles.

    Args:
        scan: its slices sorted along their normal.
        masks: of blood, bool (rows, columns), one a slice; none from a model that gives none.
    """
    reason = _unfit(scan)
    if reason:
        return Unknown(reason)
    slices = straightened(scan, masks if len(masks) == len(scan.hu) else ())
    if isinstance(slices, Unknown):
        return slices
    level = _level(slices)
    if level is None:
        return Unknown("No slice shows enough of the lateral ventricles: the midline was not found.")
    fit, *others = fits(slices)
    rivals = [other for other in others if other.symmetry > fit.symmetry - AS_GOOD]
    bow, uncertainty_mm = fit.bows[level], _uncertainty_mm(slices, fit, rivals, level)
    if fit.symmetries[level] < LEAST_SYMMETRY or abs(bow) >= MOST_BOW_MM:
        return Unknown("The two sides of the brain are too different: the midline was not found.")
    if uncertainty_mm > MOST_UNCERTAIN_MM:
        return Unknown(f"The slices disagree on the midline by more than {MOST_UNCERTAIN_MM:g} mm: it was not found.")
    return _drawn(slices[level], fit.plane, bow, uncertainty_mm)


def fits(slices: Sequence[Straight]) -> list[Fit]:
    """The planes and bows of greatest symmetry, the best first.

    A coarse search over all planes, then a finer one around the best of those that lean to the left, of those that are
    nearly straight, and of those that lean to the right: two of the three may end at the same plane, or not.
    """
    centre_mm = float(np.mean([one.along_mm for one in slices]))
    some, bows = slices[:: 1 + (len(slices) >= ENOUGH_SLICES)], np.arange(-16.0, 17.0, 2.0)
    found = []
    for slopes in SLOPES:
        planes = (Plane(offset, 0.0, slope, centre_mm) for slope in slopes for offset in OFFSETS_MM)
        first = max((_bowed(some, plane, [0.0] * len(some), bows) for plane in planes), key=lambda fit: fit.symmetry)
        found.append(_finer(slices, _bowed(slices, first.plane, [0.0] * len(slices), bows)))
    return sorted(found, key=lambda fit: -fit.symmetry)


def _finer(slices: Sequence[Straight], best: Fit) -> Fit:
    """The best fit around a coarse one: in steps that are halved where none of them helps."""
    steps, near = np.array([2.0, 0.1, 0.02]), np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    while steps[0] > 0.2:
        around = (sign * step for step in np.diag(steps) for sign in (-1, 1))
        # What moves the plane aside takes the bow back, so that the middle stays where it is.
        tries = [_bowed(slices, best.plane.moved(by), [bow - by[0] for bow in best.bows], near) for by in around]
        better = max(tries, key=lambda fit: fit.symmetry)
        if better.symmetry > best.symmetry + 1e-6:
            best = better
        else:
            steps, near = steps / 2, np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
    return best


def symmetries(one: Straight, plane: Plane, bows: NDArray[np.float64]) -> NDArray[np.float64]:
    """How alike the two sides of a midline are, for each bow in mm: the correlation of mirrored places, -1..1."""
    y = np.arange(one.ends[0] + 1, one.ends[1], ROW_STEP, dtype=np.float32)
    x = plane.x(one, y) + (bows[:, None] / GRID_MM).astype(np.float32) * _parabola(one, y)
    aside = np.arange(1, REACH_MM + 1, dtype=np.float32)
    columns = x.reshape(-1, 1) + np.concatenate([-aside, aside])
    rows = np.broadcast_to(np.tile(y, len(bows))[:, None], columns.shape)
    seen = cv2.remap(one.hu_and_brain, columns, np.ascontiguousarray(rows), cv2.INTER_LINEAR)
    left, right = seen.reshape(len(bows), len(y), 2, REACH_MM, 2).transpose(2, 4, 0, 1, 3).reshape(2, 2, len(bows), -1)
    known = left[1] * right[1]
    total = np.maximum(known.sum(axis=1), 1e-6)
    mean = ((known * (left[0] + right[0])).sum(axis=1) / (2 * total))[:, None]
    spread = (known * ((left[0] - mean) ** 2 + (right[0] - mean) ** 2)).sum(axis=1) / 2
    alike = (known * (left[0] - mean) * (right[0] - mean)).sum(axis=1) / np.maximum(spread, 1e-6)
    return np.where(total < LEAST_KNOWN * known.shape[1], -1.0, alike).astype(np.float64)


def _unfit(scan: Scan) -> str:
    """Why the midline of a scan cannot be looked for, or nothing."""
    if not scan.calibrated or scan.spacing_mm is None:
        return "Without Hounsfield units and pixel spacing the midline cannot be measured."
    if scan.positions_mm is None or scan.orientation is None:
        return "The positions of the slices are unknown: the midline cannot be measured."
    row, column = scan.orientation[:3], scan.orientation[3:]
    if abs(np.cross(row, column)[2]) < AXIAL or abs(row[0]) < AXIAL:
        return "The slices are not axial with rows from side to side: the midline cannot be measured."
    return ""


def _level(slices: Sequence[Straight]) -> int | None:
    """Which of the slices shows most of the lateral ventricles; basal cisterns are dark too, but lie lower."""
    length_mm = max(one.ends[1] - one.ends[0] for one in slices) * GRID_MM
    low, high = (share * length_mm for share in VENTRICLES)
    fluid = [one.fluid_mm2 if low <= one.below_vertex_mm <= high else 0.0 for one in slices]
    return int(np.argmax(fluid)) if max(fluid) >= LEAST_FLUID_MM2 else None


def _parabola(one: Straight, y: NDArray[np.float32]) -> NDArray[np.float32]:
    top, bottom = one.ends
    return (1 - ((y - (top + bottom) / 2) / ((bottom - top) / 2)) ** 2).astype(np.float32)


def _bowed(slices: Sequence[Straight], plane: Plane, bows: Iterable[float], changes: NDArray[np.float64]) -> Fit:
    """For each slice the best of the bows that differ from the given ones by one of the changes."""
    best, found = [], []
    for one, bow in zip(slices, bows, strict=True):
        tries = bow + changes
        each = symmetries(one, plane, tries)
        place = int(np.argmax(each))
        best.append(float(tries[place]))
        found.append(float(each[place]))
    return Fit(plane, tuple(best), tuple(found))


def _uncertainty_mm(slices: Sequence[Straight], fit: Fit, rivals: Sequence[Fit], level: int) -> float:
    """Half the width of an interval of about 95 %: two standard deviations."""
    changes = np.arange(-12.0, 12.1, 0.5)
    planes = [fits(slices[start::2])[0].plane for start in (0, 1)]
    bows = [_bowed([slices[level]], plane, [fit.bows[level]], changes).bows[0] for plane in planes]
    near = [bow for one, bow in zip(slices, fit.bows, strict=True) if _beside(one, slices[level])]
    other = max((abs(rival.bows[level] - fit.bows[level]) for rival in rivals), default=0.0)
    return 2 * hypot((bows[0] - bows[1]) / 2, other / 2, _spread(near), MISSED_MM)


def _spread(values: Sequence[float]) -> float:
    """A standard deviation that one stray value does not move: 1.48 times the median distance from the median."""
    return 1.4826 * float(np.median(np.abs(np.array(values) - np.median(values))))


def _beside(one: Straight, other: Straight) -> bool:
    return abs(one.along_mm - other.along_mm) <= NEAR_MM


def _drawn(one: Straight, plane: Plane, bow: float, uncertainty_mm: float) -> MidlineShift:
    top, bottom = one.ends
    y = np.linspace(top, bottom, DRAWN_POINTS, dtype=np.float32)
    straight = plane.x(one, y)
    curve = straight + np.float32(bow / GRID_MM) * _parabola(one, y)
    places: list[PlacePx] = [one.place_px(float(x), float(row)) for x, row in zip(curve, y, strict=True)]
    return MidlineShift(
        shift_mm=abs(bow) * float(np.cos(np.arctan(plane.slope))),
        uncertainty_mm=uncertainty_mm,
        towards_column=int(np.sign(bow)),
        slice=one.index,
        ideal_px=(one.place_px(float(straight[0]), top), one.place_px(float(straight[-1]), bottom)),
        midline_px=tuple(places),
        farthest_px=places[DRAWN_POINTS // 2],
    )
