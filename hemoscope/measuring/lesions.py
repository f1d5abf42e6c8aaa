"""From masks to lesions: which pixels belong together, and how large each lesion is.

In: one mask a slice and the slice geometry. Out: `Lesion`s and the pieces that are too small to be listed.

Two pixels of a slice belong together where they touch, at a corner too. Two pixels of neighbouring slices belong
together where, seen along the normal, they lie over each other or touch so. More would not fit slices that are ten
times as far apart as pixels, less would cut thin crescents that move outward from slice to slice. In an upright series
this is connectivity 26; with a tilted gantry the shift from slice to slice is taken out first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hemoscope.labels import SUBTYPES
from hemoscope.measuring.diameters import diameters
from hemoscope.measuring.skull import table_distance_mm
from hemoscope.measuring.slices import SliceGeometry
from hemoscope.measuring.values import Diameters, Lesion, Volume
from hemoscope.measuring.volumes import NOTHING, Section, volume
from hemoscope.scan import Scan

SMALLEST_LESION_ML = 0.1  # on a slice of 5 mm a disc of 5 mm; smaller pieces are mostly specks of a mask's border


@dataclass(frozen=True)
class Piece:
    """The pixels of one slice that touch each other.

    Attributes:
        slice: which slice.
        top, left: of the box around it, in pixels.
        mask: bool (rows, columns) of the box.
    """

    slice: int
    top: int
    left: int
    mask: NDArray[np.bool_]

    @property
    def box(self) -> tuple[Any, Any]:
        """The index of the box in the slice."""
        return np.s_[self.top : self.top + self.mask.shape[0], self.left : self.left + self.mask.shape[1]]


def connected(
    masks: Sequence[NDArray[np.bool_]], steps_px: Sequence[tuple[float, float]]
) -> tuple[tuple[Piece, ...], ...]:
    """The pieces of all slices, grouped by what belongs together.

    Args:
        masks: bool (rows, columns), one a slice.
        steps_px: see `SliceGeometry`.
    """
    pieces: list[Piece] = []
    leader: list[int] = []  # of each piece, another of its group with a lower number, or itself
    numbers: NDArray[np.int32] | None = None  # of the slice before: 1 + the piece's number, 0 elsewhere
    for index, mask in enumerate(masks):
        before, numbers = numbers, np.zeros(mask.shape, np.int32)
        for piece in _pieces(mask, index):
            own = len(pieces)
            pieces.append(piece)
            leader.append(own)
            numbers[piece.box][piece.mask] = 1 + own
            for other in [] if before is None else _touched(piece, before, steps_px[index - 1]):
                first, second = sorted((_leader(leader, own), _leader(leader, other)))
                leader[second] = first
    groups: dict[int, list[Piece]] = {}
    for number, piece in enumerate(pieces):
        groups.setdefault(_leader(leader, number), []).append(piece)
    return tuple(tuple(group) for group in groups.values())


def volume_of(pieces: Sequence[Piece], geometry: SliceGeometry) -> Volume:
    """The volume of pieces that belong together."""
    sections: dict[int, Section] = {}
    for piece in pieces:
        known = sections.get(piece.slice, NOTHING)
        sections[piece.slice] = known + Section.of(piece.mask, geometry.spacing_mm)
    spanned = range(min(sections), max(sections) + 1)
    extents = geometry.extents_mm[spanned.start : spanned.stop]
    return volume([sections[index] for index in spanned], extents, geometry.spacing_mm)


def lesion(
    pieces: Sequence[Piece],
    scan: Scan,
    geometry: SliceGeometry,
    subtype_maps: Sequence[NDArray[np.uint8]] | None,
) -> Lesion:
    """Measure pieces that belong together.

    Args:
        pieces: of consecutive slices, at least one.
        scan: that they lie in.
        geometry: of its slices.
        subtype_maps: of its slices, see `SliceFindings`, or None.
    """
    spacing_mm, masks = geometry.spacing_mm, slice_masks(pieces, scan.hu.shape[1:])
    first, last = min(masks), max(masks)
    extents = geometry.extents_mm[first : last + 1]
    areas = [np.count_nonzero(masks[index]) * spacing_mm[0] * spacing_mm[1] for index in range(first, last + 1)]
    largest = first + int(np.argmax(areas))
    extent = diameters(masks[largest], spacing_mm)
    return Lesion(
        volume=volume_of(pieces, geometry),
        first_slice=first,
        last_slice=last,
        largest_slice=largest,
        largest_area_mm2=float(max(areas)),
        diameters=extent,
        abc2_ml=abc2_ml(extent, areas, extents),
        depth_mm=None if geometry.depths_mm is None else geometry.depths_mm[largest],
        table_distance_mm=_table_distance_mm(masks, scan, spacing_mm),
        mean_hu=_mean_hu(masks, scan) if scan.calibrated else None,
        subtype=None if subtype_maps is None else _subtype(masks, subtype_maps),
        reaches_end=first == 0 or last == len(scan.hu) - 1,
    )


def abc2_ml(extent: Diameters, areas_mm2: Sequence[float], extents_mm: Sequence[float]) -> float:
    """A * B * C / 2, the bedside estimate of a lesion's volume (Kothari et al., Stroke 1996;27:1304-1305).

    A is the largest diameter on the slice with the largest area, B the width at right angles to it, C the height: each
    slice's extent counts whole where its area is above 75 % of the largest, half from 25 % on, and not below.

    Args:
        extent: A and B.
        areas_mm2: of the lesion in each of its slices.
        extents_mm: of these slices; the paper multiplies their number by their thickness, which is the same for even
            slices.
    """
    shares = np.array(areas_mm2) / max(areas_mm2)
    weights = np.where(shares > 0.75, 1.0, np.where(shares >= 0.25, 0.5, 0.0))
    return extent.largest_mm * extent.across_mm * float(weights @ np.array(extents_mm)) / 2 / 1000


def slice_masks(pieces: Sequence[Piece], shape: tuple[int, ...]) -> dict[int, NDArray[np.bool_]]:
    """The pieces of each slice as one mask (rows, columns), by slice."""
    masks: dict[int, NDArray[np.bool_]] = {}
    for piece in pieces:
        masks.setdefault(piece.slice, np.zeros(shape, np.bool_))[piece.box] |= piece.mask
    return masks


def _pieces(mask: NDArray[np.bool_], index: int) -> list[Piece]:
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = []
    for label in range(1, count):
        left, top, width, height = (int(part) for part in boxes[label, :4])
        found.append(Piece(index, top, left, labels[top : top + height, left : left + width] == label))
    return found


def _touched(piece: Piece, before: NDArray[np.int32], step_px: tuple[float, float]) -> list[int]:
    """The pieces of the slice before that lie under a piece or touch it, seen along the normal."""
    wide = cv2.dilate(np.pad(piece.mask, 1).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.bool_)
    rows, columns = np.nonzero(wide)
    rows, columns = rows + piece.top - 1 - round(step_px[0]), columns + piece.left - 1 - round(step_px[1])
    inside = (rows >= 0) & (rows < before.shape[0]) & (columns >= 0) & (columns < before.shape[1])
    return [int(number) - 1 for number in np.unique(before[rows[inside], columns[inside]]) if number]


def _leader(leader: list[int], number: int) -> int:
    while leader[number] != number:
        number = leader[number]
    return number


def _mean_hu(masks: dict[int, NDArray[np.bool_]], scan: Scan) -> float:
    return float(np.concatenate([scan.hu[index][mask] for index, mask in masks.items()]).mean(dtype=np.float64))


def _subtype(masks: dict[int, NDArray[np.bool_]], maps: Sequence[NDArray[np.uint8]]) -> str:
    """The subtype of most pixels; the first in the order of `SUBTYPES` where several have as many."""
    counts = sum(np.bincount(maps[index][mask], minlength=1 + len(SUBTYPES)) for index, mask in masks.items())
    return SUBTYPES[int(np.argmax(np.asarray(counts)[1:]))]


def _table_distance_mm(
    masks: dict[int, NDArray[np.bool_]], scan: Scan, spacing_mm: tuple[float, float]
) -> float | None:
    if not scan.calibrated:
        return None
    each = [table_distance_mm(mask, scan.hu[index], spacing_mm) for index, mask in masks.items()]
    return min((known for known in each if known is not None), default=None)
