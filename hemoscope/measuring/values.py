"""What was measured, as immutable values.

In: numbers from the other modules of this package. Out: `Measurements` and its parts. Places in the picture are
(row, column) in pixels of the scan's own grid, 0 at the centre of the first pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PlacePx = tuple[float, float]


@dataclass(frozen=True)
class Volume:
    """A volume and how far the truth may lie from it.

    Attributes:
        ml: millilitres.
        uncertainty_ml: half the width of an interval of about 95 %, from the width of a pixel and the sampling by
            slices, see `measuring.volumes`. Errors of the network that drew the mask are not in it.
    """

    ml: float
    uncertainty_ml: float


@dataclass(frozen=True)
class Diameters:
    """The largest diameter of a lesion within one slice, and its width at right angles to it.

    Attributes:
        largest_mm: the largest distance between two points of the lesion's outline (Feret's diameter).
        across_mm: the width of the lesion's convex hull at right angles to that.
        ends_px: where the largest diameter begins and ends.
    """

    largest_mm: float
    across_mm: float
    ends_px: tuple[PlacePx, PlacePx]


@dataclass(frozen=True)
class Lesion:
    """One connected bleed.

    Attributes:
        volume: by areas and slice extents.
        first_slice, last_slice: the slices that it spans, counted from 0.
        largest_slice: where its area is largest.
        largest_area_mm2: that area.
        diameters: on that slice.
        abc2_ml: ABC/2 beside the volume, see `measuring.lesions.abc2_ml`.
        depth_mm: from the scan's uppermost slice down to the largest slice, along the normal: the depth below the
            vertex where the scan reaches it. None where positions are unknown, or the slices are not nearer to axial
            than to any other plane.
        table_distance_mm: the smallest gap within a slice between the lesion and the skull's inner surface, 0 where
            they touch. None where no skull was found.
        mean_hu: over its pixels; None for pictures, whose values are cut off at the window's ends.
        subtype: the one that most of its pixels have; None for a model that does not tell them apart by pixel.
        reaches_end: whether it lies in the scan's first or last slice, so that a part of it may not be shown.
    """

    volume: Volume
    first_slice: int
    last_slice: int
    largest_slice: int
    largest_area_mm2: float
    diameters: Diameters
    abc2_ml: float
    depth_mm: float | None
    table_distance_mm: float | None
    mean_hu: float | None
    subtype: str | None
    reaches_end: bool


@dataclass(frozen=True)
class MidlineShift:
    """How far the middle of the brain lies beside the middle of the skull, in one slice.

    Attributes:
        shift_mm: the distance of the two at `farthest_px`, 0 or more.
        uncertainty_mm: half the width of an interval of about 95 %.
        towards_column: -1 where the brain's middle lies to the left of the skull's in the picture, +1 to the right, 0
            without a shift.
        slice: which slice, counted from 0.
        ideal_px: the ends of the skull's middle line on its inner surface, front or top end first.
        midline_px: points of the brain's middle line between these ends.
        farthest_px: the point of the brain's middle line where the shift is measured.
    """

    shift_mm: float
    uncertainty_mm: float
    towards_column: int
    slice: int
    ideal_px: tuple[PlacePx, PlacePx]
    midline_px: tuple[PlacePx, ...]
    farthest_px: PlacePx


@dataclass(frozen=True)
class Measurements:
    """What was measured of a whole scan.

    Attributes:
        total: all blood, listed lesions and smaller pieces; None where it cannot be measured.
        by_subtype: the same by subtype; None for a model that does not tell them apart by pixel.
        lesions: of `measuring.lesions.SMALLEST_LESION_ML` or more, the largest first.
        smaller_pieces: how many pieces are below that; they count in the total.
        midline: None where it was not found.
        volume_unknown, midline_unknown: why not, in a sentence; empty where it is known.
        notes: what a reader of the numbers should know, in sentences.
    """

    total: Volume | None
    by_subtype: Mapping[str, Volume] | None
    lesions: tuple[Lesion, ...]
    smaller_pieces: int
    midline: MidlineShift | None
    volume_unknown: str = ""
    midline_unknown: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unknown:
    """Something that could not be measured, and why, in a sentence."""

    reason: str
