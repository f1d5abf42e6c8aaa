"""How much of the patient each slice stands for.

In: the positions, orientation and thickness of a `Scan`. Out: `SliceGeometry`, in millimetres along the normal of the
slices: with a tilted gantry the first pixels of two slices lie farther apart than the slices do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.measuring.values import Unknown
from hemoscope.scan import Scan

SAME_PLACE_MM = 0.01  # headers round to hundredths; slices that lie closer are the same one twice
GAP = 1.5  # of the median distance: beyond it slices are missing, or were taken in blocks of their own
AXIAL = 0.7  # of the normal's length along the body's axis, as the readers ask of an axial slice


@dataclass(frozen=True)
class SliceGeometry:
    """Where the slices of a scan lie, in the scan's order.

    Attributes:
        spacing_mm: of the pixels, between rows and between columns.
        extents_mm: (slices,) how much of the normal each slice stands for; an area times it is a volume.
        steps_px: (slices - 1,) pairs (rows, columns): a point's place in the next slice, at the same place of the
            patient as seen along the normal, minus its place in this one. Not 0 with a tilted gantry.
        depths_mm: (slices,) below the uppermost slice along the normal; None where that is unknown, see
            `values.Lesion.depth_mm`.
        notes: on what the extents rest, where that is not positions alone.
    """

    spacing_mm: tuple[float, float]
    extents_mm: tuple[float, ...]
    steps_px: tuple[tuple[float, float], ...]
    depths_mm: tuple[float, ...] | None
    notes: tuple[str, ...] = ()


def slice_geometry(scan: Scan) -> SliceGeometry | Unknown:
    """The geometry of a scan's slices.

    A slice stands for half of the way to each of its neighbours. Beyond the first and the last slice nothing is known:
    they stand for as much outward as inward, but not for more than half their thickness where that is stated.
    Without positions, slices stand for their thickness as if they touched each other.

    Raises:
        BadScan: where slices lie at the same place or go back and forth, or a position is no number.
    """
    if scan.spacing_mm is None:
        return Unknown("The pixel spacing is unknown: no volume can be given.")
    if scan.positions_mm is None:
        return _by_thickness(scan, scan.spacing_mm, "The positions of the slices are unknown")
    if scan.orientation is None:
        return _by_thickness(scan, scan.spacing_mm, "The orientation of the slices is unknown")
    if len(scan.hu) == 1:
        return _by_thickness(scan, scan.spacing_mm, "The scan has one slice")
    positions = np.array(scan.positions_mm, np.float64)
    row, column = np.array(scan.orientation[:3]), np.array(scan.orientation[3:])
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    steps_mm = _checked_steps(positions @ normal)
    moved = -np.diff(positions, axis=0) @ np.stack([column, row], axis=1) / np.array(scan.spacing_mm)
    return SliceGeometry(
        spacing_mm=scan.spacing_mm,
        extents_mm=tuple(_extents(steps_mm, scan.slice_thickness_mm).tolist()),
        steps_px=tuple((float(rows), float(columns)) for rows, columns in moved),
        depths_mm=_depths_mm(positions @ normal, normal),
        notes=_gaps(steps_mm),
    )


def _by_thickness(scan: Scan, spacing_mm: tuple[float, float], lack: str) -> SliceGeometry | Unknown:
    """Slices that touch each other, as far as anyone knows."""
    if scan.slice_thickness_mm is None:
        return Unknown(f"{lack}, and no slice thickness is stated: no volume can be given.")
    count = len(scan.hu)
    note = f"{lack}: volumes are areas times the stated slice thickness of {scan.slice_thickness_mm:g} mm."
    return SliceGeometry(spacing_mm, (scan.slice_thickness_mm,) * count, ((0.0, 0.0),) * (count - 1), None, (note,))


def _depths_mm(along_mm: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[float, ...] | None:
    """Below the uppermost slice: DICOM's z grows towards the head (PS3.3 C.7.6.2.1.1)."""
    if abs(normal[2]) < AXIAL:
        return None
    heights = along_mm * np.sign(normal[2])
    return tuple((heights.max() - heights).tolist())


def _checked_steps(along_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (slices - 1,) from slice to slice, all above 0."""
    if not np.all(np.isfinite(along_mm)):
        raise BadScan("The position of a slice is not a finite number: volumes cannot be measured.")
    steps = np.diff(along_mm)
    same = np.flatnonzero(np.abs(steps) < SAME_PLACE_MM)
    if same.size:
        raise BadScan(f"Slices {same[0] + 1} and {same[0] + 2} lie at the same place: volumes need each slice once.")
    turns = np.flatnonzero(np.sign(steps) != np.sign(steps[:1]))
    if turns.size:
        raise BadScan(
            f"The slices are not in order: after slice {turns[0] + 1} they go back. Sort them along their normal."
        )
    return np.abs(steps)


def _extents(steps_mm: NDArray[np.float64], thickness_mm: float | None) -> NDArray[np.float64]:
    outward = np.array([steps_mm[0], steps_mm[-1]]) / 2
    if thickness_mm is not None:
        outward = np.minimum(outward, thickness_mm / 2)
    halves = np.concatenate([outward[:1], steps_mm / 2, outward[1:]])
    extents: NDArray[np.float64] = halves[:-1] + halves[1:]
    return extents


def _gaps(steps_mm: NDArray[np.float64]) -> tuple[str, ...]:
    usual = float(np.median(steps_mm))
    wide = np.flatnonzero(steps_mm > GAP * usual)
    if not wide.size:
        return ()
    place = int(wide[np.argmax(steps_mm[wide])])
    return (
        f"The slices are unevenly spaced: {steps_mm[place]:.1f} mm lie between slices {place + 1} and {place + 2}, "
        f"{usual:.1f} mm between most. What lies between is estimated from both.",
    )
