"""How large what was found is.

In: masks on the scan's own grid and the scan's geometry. Out: areas in pixels and in mm², and `Measurements` of a whole
scan: volumes in ml, lesions, midline shift.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import Findings
from hemoscope.labels import SUBTYPES
from hemoscope.measuring.lesions import SMALLEST_LESION_ML, connected, lesion, volume_of
from hemoscope.measuring.midline import midline_shift
from hemoscope.measuring.slices import SliceGeometry, slice_geometry
from hemoscope.measuring.values import Measurements, MidlineShift, Unknown, Volume
from hemoscope.measuring.volumes import Section, volume
from hemoscope.scan import Scan


def area_px(mask: NDArray[np.bool_]) -> int:
    """Pixels in a mask, bool (rows, columns) or (slices, rows, columns)."""
    return int(np.count_nonzero(mask))


def area_mm2(mask: NDArray[np.bool_], spacing_mm: tuple[float, float] | None) -> float | None:
    """The mask's area in mm²; None where the spacing is unknown.

    Args:
        mask: bool (rows, columns), or (slices, rows, columns) for the sum over the slices.
        spacing_mm: between rows and between columns of pixel centres (DICOM PS3.3 10.7.1.3).
    """
    return None if spacing_mm is None else area_px(mask) * spacing_mm[0] * spacing_mm[1]


def measure(scan: Scan, findings: Findings) -> Measurements:
    """Measure the blood of a scan, and the shift of its midline.

    Args:
        scan: with slices sorted along their normal.
        findings: of the same scan.

    Raises:
        BadScan: where slices lie at the same place or are not in order.
        ValueError: where the findings are of another number of slices.
    """
    if len(findings.slices) != len(scan.hu):
        raise ValueError(f"findings of {len(findings.slices)} slices for a scan of {len(scan.hu)}")
    geometry = slice_geometry(scan)
    masks = [one.mask for one in findings.slices if one.mask is not None]
    shift = midline_shift(scan, masks)
    found = shift if isinstance(shift, MidlineShift) else None
    why = "" if isinstance(shift, MidlineShift) else shift.reason
    without = Measurements(None, None, (), 0, found, midline_unknown=why)
    if len(masks) < len(scan.hu):
        return replace(without, volume_unknown="The model gives no mask: no volume can be given.")
    if isinstance(geometry, Unknown):
        return replace(without, volume_unknown=geometry.reason)
    maps = [one.subtype_map for one in findings.slices if one.subtype_map is not None]
    return _with_volumes(without, scan, geometry, masks, maps if len(maps) == len(masks) else None)


def _with_volumes(
    without: Measurements,
    scan: Scan,
    geometry: SliceGeometry,
    masks: Sequence[NDArray[np.bool_]],
    maps: Sequence[NDArray[np.uint8]] | None,
) -> Measurements:
    groups = connected(masks, geometry.steps_px)
    large = [pieces for pieces in groups if volume_of(pieces, geometry).ml >= SMALLEST_LESION_ML]
    listed = sorted((lesion(pieces, scan, geometry, maps) for pieces in large), key=lambda one: -one.volume.ml)
    notes = list(geometry.notes)
    if any(one.reaches_end for one in listed):
        notes.append("Blood reaches the first or the last slice: what lies beyond is not measured.")
    return replace(
        without,
        total=_volume(masks, geometry),
        by_subtype=None if maps is None else _by_subtype(maps, geometry),
        lesions=tuple(listed),
        smaller_pieces=len(groups) - len(large),
        notes=tuple(notes),
    )


def _volume(masks: Iterable[NDArray[np.bool_]], geometry: SliceGeometry) -> Volume:
    sections = [Section.of(mask, geometry.spacing_mm) for mask in masks]
    return volume(sections, geometry.extents_mm, geometry.spacing_mm)


def _by_subtype(maps: Sequence[NDArray[np.uint8]], geometry: SliceGeometry) -> dict[str, Volume]:
    return {
        name: _volume((shown == number for shown in maps), geometry) for number, name in enumerate(SUBTYPES, start=1)
    }
