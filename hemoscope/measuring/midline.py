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

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np
from numpy.typing import NDArray

from hemoscope.measuring.slices import AXIAL
from hemoscope.measuring.straightening import GRID_MM, MIDDLE, Straight, straightened
from hemoscope.measuring.symmetry import Sides
from hemoscope.measuring.values import MidlineShift, PlacePx, Unknown
from hemoscope.scan import Scan

ENOUGH_SLICES = 8  # from so many on, every other one is enough for the coarse search
SLOPES = ((-0.12, -0.08), (-0.04, 0.0, 0.04), (0.08, 0.12))  # of the falx's plane, from the skull's first direction
OFFSETS_MM = (-4.0, 0.0, 4.0)
AS_GOOD = 0.02  # a fit whose symmetry is less by no more than this is as good
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
    sides = Sides(slices)
    fit, *others = fits(sides, np.arange(len(slices)))
    rivals = [other for other in others if other.symmetry > fit.symmetry - AS_GOOD]
    bow, uncertainty_mm = fit.bows[level], _uncertainty_mm(sides, fit, rivals, level)
    if fit.symmetries[level] < LEAST_SYMMETRY or abs(bow) >= MOST_BOW_MM:
        return Unknown("The two sides of the brain are too different: the midline was not found.")
    if uncertainty_mm > MOST_UNCERTAIN_MM:
        return Unknown(f"The slices disagree on the midline by more than {MOST_UNCERTAIN_MM:g} mm: it was not found.")
    return _drawn(slices[level], fit.plane, bow, uncertainty_mm)


def fits(sides: Sides, chosen: NDArray[np.int64]) -> list[Fit]:
    """The planes and bows of greatest symmetry in the chosen slices, the best first.

    A coarse search over all planes, then a finer one around the best of those that lean to the left, of those that are
    nearly straight, and of those that lean to the right: two of the three may end at the same plane, or not.
    """
    centre_mm = float(np.mean([sides.slices[number].along_mm for number in chosen]))
    some, bows = chosen[:: 1 + (len(chosen) >= ENOUGH_SLICES)], np.arange(-16.0, 17.0, 2.0)
    found = []
    for slopes in SLOPES:
        planes = [Plane(offset, 0.0, slope, centre_mm) for slope in slopes for offset in OFFSETS_MM]
        first = _best(sides, some, planes, np.zeros((len(planes), len(some))), bows)
        found.append(_finer(sides, chosen, _best(sides, chosen, [first.plane], np.zeros((1, len(chosen))), bows)))
    return sorted(found, key=lambda fit: -fit.symmetry)


def _finer(sides: Sides, chosen: NDArray[np.int64], best: Fit) -> Fit:
    """The best fit around a coarse one: in steps that are halved where none of them helps."""
    steps, near = np.array([2.0, 0.1, 0.02]), np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    while steps[0] > 0.2:
        around = [sign * step for step in np.diag(steps) for sign in (-1, 1)]
        # What moves the plane aside takes the bow back, so that the middle stays where it is.
        bows = np.array([np.array(best.bows) - by[0] for by in around])
        better = _best(sides, chosen, [best.plane.moved(by) for by in around], bows, near)
        if better.symmetry > best.symmetry + 1e-6:
            best = better
        else:
            steps, near = steps / 2, np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
    return best


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


def _best(
    sides: Sides,
    chosen: NDArray[np.int64],
    planes: Sequence[Plane],
    bows: NDArray[np.float64],
    changes: NDArray[np.float64],
) -> Fit:
    """The most symmetric of the planes, each with the best of the bows that differ from the given by one change.

    Args:
        chosen: int (slices,), numbers of slices.
        bows: in mm, (planes, slices).
        changes: in mm, (changes,).
    """
    slices = [sides.slices[number] for number in chosen]
    rows = sides.rows[chosen]
    parabolas = np.stack([_parabola(one, y) for one, y in zip(slices, rows, strict=True)])
    straight = np.stack([[plane.x(one, y) for one, y in zip(slices, rows, strict=True)] for plane in planes])
    tries = bows[:, None] + changes[:, None]  # (planes, changes, slices)
    x = straight[:, None] + (tries / GRID_MM).astype(np.float32)[..., None] * parabolas
    each = sides.symmetries(chosen, x.reshape(-1, *rows.shape)).reshape(tries.shape)
    best = int(np.argmax(each.max(axis=1).mean(axis=1)))
    places = each[best].argmax(axis=0)
    columns = np.arange(len(chosen))
    found, alike = tries[best][places, columns], each[best][places, columns]
    return Fit(planes[best], tuple(found.tolist()), tuple(alike.tolist()))


def _uncertainty_mm(sides: Sides, fit: Fit, rivals: Sequence[Fit], level: int) -> float:
    """Half the width of an interval of about 95 %: two standard deviations."""
    changes, slices, only = np.arange(-12.0, 12.1, 0.5), sides.slices, np.array([level])
    planes = [fits(sides, np.arange(start, len(slices), 2))[0].plane for start in (0, 1)]
    bows = [_best(sides, only, [plane], np.array([[fit.bows[level]]]), changes).bows[0] for plane in planes]
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
