"""Slices of a head turned upright, on one grid of millimetres that all of them share.

In: an axial, calibrated `Scan` and the masks of blood. Out: `Straight` slices for the search of the midline.

A head turns as a whole: one angle is chosen for all slices, the one in which the two sides of the skull's inside match
best (as in Qi et al., Open J Med Imaging 2013;3:51-59). The grid is fixed to the patient, so that a plane of the
patient is a straight line in each slice, at the same slope, and moves evenly from slice to slice; with a tilted gantry
too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, radians, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.measuring.skull import inside_skull
from hemoscope.measuring.values import PlacePx, Unknown
from hemoscope.scan import Scan

GRID_MM = 1.0
SIDE = 241  # of the grid, in pixels: room for a head, turned and not in the middle
MIDDLE = (SIDE - 1) / 2
TURNS_DEGREES = range(-24, 25, 2)
APART_MM = 4.5  # thinner slices are left out: they show the same again
WHOLE_HEAD = 0.7  # of the largest section of the skull's inside: slices with less are not compared
NEAR_VERTEX = 0.6  # of the largest section: where the uppermost has more, the top of the head is not in the scan
FARTHEST_VERTEX_MM = 25.0  # above the uppermost section
LEAST_SLICES = 4
SHORTEST_MM = 80  # a skull whose middle column is shorter is cut by the picture's edge, or none
BRAIN_HU = (0.0, 60.0)  # what is compared: fluid and tissue; bone, air and fat count as the nearer end
SMOOTHING_MM = 1.0
FLUID_HU = 17.0
DEEP_MM = 25  # fluid so far from the skull lies in ventricles, not in sulci
BESIDE_MM = 40  # and so near to the middle, not in the Sylvian fissures
TOO_FEW = Unknown("Too few slices show a whole skull around the brain: the midline was not looked for.")


@dataclass(frozen=True)
class Straight:
    """One slice on the shared grid; columns run down from the front of the head, or up where the picture does so.

    Attributes:
        index: of the slice.
        along_mm: its place on the normal.
        below_vertex_mm: how far it lies below the top of the skull's inside, along the normal.
        hu: float32 (SIDE, SIDE), smoothed and clipped to `BRAIN_HU`.
        brain: float32 (SIDE, SIDE), 1 where values are the brain's own, 0 near the skull and in blood.
        inside: bool (SIDE, SIDE), the skull's inside.
        to_px: (2, 3), from the grid's (x, y, 1) to the slice's (column, row).
    """

    index: int
    along_mm: float
    below_vertex_mm: float
    hu: NDArray[np.float32]
    brain: NDArray[np.float32]
    inside: NDArray[np.bool_]
    to_px: NDArray[np.float64]

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The first and the last row of the skull's inside in the middle column."""
        rows = np.flatnonzero(self.inside[:, int(MIDDLE)])
        return (int(rows[0]), int(rows[-1])) if rows.size else (0, 0)

    @cached_property
    def hu_and_brain(self) -> NDArray[np.float32]:
        """Both as the two channels (SIDE, SIDE, 2) of one image."""
        return np.dstack([self.hu, self.brain])

    @cached_property
    def fluid_mm2(self) -> float:
        """The area of fluid in the middle of the head, mostly the lateral ventricles'."""
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * DEEP_MM + 1, 2 * DEEP_MM + 1))
        deep = cv2.erode(self.inside.astype(np.uint8), ellipse) > 0
        near = np.abs(np.arange(SIDE) - MIDDLE) < BESIDE_MM
        return float(np.count_nonzero((self.hu < FLUID_HU) & deep & near)) * GRID_MM**2

    def place_px(self, x: float, y: float) -> PlacePx:
        """A place of the grid as (row, column) of the slice."""
        column, row = self.to_px @ (x, y, 1.0)
        return float(row), float(column)


def straightened(scan: Scan, masks: Sequence[NDArray[np.bool_]]) -> list[Straight] | Unknown:
    """The slices that show nearly as much of the skull's inside as the largest does.

    Args:
        scan: calibrated, with spacing, positions and orientation.
        masks: of blood, one a slice, or none at all.

    Returns:
        At least `LEAST_SLICES`, in the scan's order; or why there are none.
    """
    assert scan.spacing_mm is not None and scan.positions_mm is not None and scan.orientation is not None
    axes = np.array(scan.orientation).reshape(2, 3)
    positions = np.array(scan.positions_mm)
    along_mm = positions @ np.cross(axes[0], axes[1])
    insides = {index: inside_skull(scan.hu[index]) for index in _thinned(along_mm)}
    areas = {index: int(np.count_nonzero(inside)) for index, inside in insides.items() if inside is not None}
    chosen = {index: inside for index, inside in insides.items() if inside is not None}
    chosen = {index: inside for index, inside in chosen.items() if areas[index] >= WHOLE_HEAD * max(areas.values())}
    if len(chosen) < LEAST_SLICES:
        return TOO_FEW
    upward = float(np.sign(np.cross(axes[0], axes[1])[2]))
    vertex_mm = _vertex_mm({upward * float(along_mm[index]): area for index, area in areas.items()})
    if vertex_mm is None:
        return Unknown("The scan does not reach the top of the head: the level of the ventricles is not known.")
    pitch_mm = np.array(scan.spacing_mm)[::-1]  # of columns, of rows
    origins_mm = positions @ axes.T  # the first pixels in the plane: along a row, along a column
    centres = [origins_mm[i] + pitch_mm * np.argwhere(inside).mean(axis=0)[::-1] for i, inside in chosen.items()]
    centres_px = {index: (np.mean(centres, axis=0) - origins_mm[index]) / pitch_mm for index in chosen}
    turn = _upright(chosen, centres_px, pitch_mm)
    found = []
    for index, inside in chosen.items():
        to_px = _frame(centres_px[index], turn, pitch_mm)
        blood = masks[index] if len(masks) else np.zeros_like(inside)
        place = (index, float(along_mm[index]), vertex_mm - upward * float(along_mm[index]))
        found.append(_straight(place, scan.hu[index], inside, blood, to_px, pitch_mm))
    long = [one for one in found if one.ends[1] - one.ends[0] >= SHORTEST_MM]
    return long if len(long) >= LEAST_SLICES else TOO_FEW


def _thinned(along_mm: NDArray[np.float64]) -> list[int]:
    kept = [0]
    for index, place in enumerate(along_mm):
        if abs(place - along_mm[kept[-1]]) >= APART_MM:
            kept.append(index)
    return kept


def _vertex_mm(areas: dict[float, int]) -> float | None:
    """The height at which the skull's inside ends, from where its sections shrink to nothing.

    Args:
        areas: of the inside by height in mm, in any unit.

    Returns:
        None where the uppermost section is still large.
    """
    heights = sorted(areas)
    top, next_one = heights[-1], heights[-2]
    if areas[top] > NEAR_VERTEX * max(areas.values()):
        return None
    shrinking = (areas[next_one] - areas[top]) / (top - next_one)
    return top + (min(areas[top] / shrinking, FARTHEST_VERTEX_MM) if shrinking > 0 else 0.0)


def _upright(
    insides: dict[int, NDArray[np.bool_]], centres_px: dict[int, NDArray[np.float64]], pitch_mm: NDArray[np.float64]
) -> int:
    """The turn in degrees in which the middles of the insides' rows lie straightest, summed over the slices."""

    def unevenness(turn: int) -> float:
        frames = ((inside, _frame(centres_px[index], turn, pitch_mm)) for index, inside in insides.items())
        return sum(_unevenness(_warped(inside.astype(np.float32), frame) > 0.5) for inside, frame in frames)

    return min(TURNS_DEGREES, key=unevenness)


def _unevenness(inside: NDArray[np.bool_]) -> float:
    """The mean distance in pixels of the rows' middles from their median; the first and the last rows are left out."""
    rows = np.flatnonzero(inside.any(axis=1))
    rows = rows[len(rows) // 20 : len(rows) - len(rows) // 20]
    if not rows.size:
        return 0.0
    middles = (np.argmax(inside[rows], axis=1) + SIDE - 1 - np.argmax(inside[rows, ::-1], axis=1)) / 2
    return float(np.abs(middles - np.median(middles)).mean())


def _frame(centre_px: NDArray[np.float64], turn_degrees: float, pitch_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the grid's (x, y, 1) to the slice's (column, row): turned about the centre."""
    turn = radians(turn_degrees)
    linear = np.array([[cos(turn), -sin(turn)], [sin(turn), cos(turn)]]) * GRID_MM / pitch_mm[:, None]
    return np.column_stack([linear, centre_px - linear @ np.array([MIDDLE, MIDDLE])])


def _warped(image: NDArray[np.float32], to_px: NDArray[np.float64]) -> NDArray[np.float32]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, to_px, (SIDE, SIDE), flags=flags), np.float32)


def _straight(
    place: tuple[int, float, float],
    hu: NDArray[np.float32],
    inside: NDArray[np.bool_],
    blood: NDArray[np.bool_],
    to_px: NDArray[np.float64],
    pitch_mm: NDArray[np.float64],
) -> Straight:
    column_px, row_px = (SMOOTHING_MM / pitch_mm).tolist()
    clipped = np.clip(hu, np.float32(BRAIN_HU[0]), np.float32(BRAIN_HU[1]))
    smooth = np.asarray(cv2.GaussianBlur(clipped, (0, 0), column_px, sigmaY=row_px), np.float32)
    kept = _warped(inside.astype(np.float32), to_px) > 0.5
    square = np.ones((5, 5), np.uint8)  # 2 mm on each side: what is partly bone or blood
    bled = cv2.dilate((_warped(blood.astype(np.float32), to_px) > 0.1).astype(np.uint8), square)
    brain = cv2.erode(kept.astype(np.uint8), square) * (1 - bled)
    return Straight(*place, _warped(smooth, to_px), brain.astype(np.float32), kept, to_px)
