"""Scans and findings made by hand for the tests of measurements."""

import numpy as np
from numpy.typing import NDArray

from hemoscope.findings import Findings, SliceFindings, Timings
from hemoscope.labels import CLASSES
from hemoscope.scan import Scan

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def scan_at(z_mm, *, rows=20, columns=24, spacing_mm=(0.5, 0.5), thickness_mm=None, hu=40.0, **changes) -> Scan:
    """A scan of one value whose axial slices lie at these heights."""
    facts = {
        "calibrated": True,
        "spacing_mm": spacing_mm,
        "positions_mm": tuple((0.0, 0.0, float(z)) for z in z_mm),
        "orientation": AXIAL,
        "slice_thickness_mm": thickness_mm,
    }
    return Scan(np.full((len(z_mm), rows, columns), hu, np.float32), **(facts | changes))


def tilted_scan(shape, spacing_mm, step_mm, degrees, **changes) -> Scan:
    """Slices that the table's feed of `step_mm` along z took apart, in planes that lean by the gantry's tilt."""
    tilt = np.radians(degrees)
    return Scan(
        np.full(shape, 40, np.float32),
        calibrated=True,
        spacing_mm=spacing_mm,
        positions_mm=tuple((0.0, 0.0, step_mm * index) for index in range(shape[0])),
        orientation=(1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt))),
        **changes,
    )


def findings_of(masks: NDArray[np.bool_] | None, slices: int = 0, subtype_maps=None) -> Findings:
    """What a model that drew these masks (slices, rows, columns) would say; None for a model that draws none."""
    maps = [None] * (slices or len(masks)) if subtype_maps is None else list(subtype_maps)
    drawn = [None] * slices if masks is None else list(masks)
    each = tuple(
        SliceFindings(dict.fromkeys(CLASSES, 0.9), "hemorrhage", mask, None, {}, None, None, shown)
        for mask, shown in zip(drawn, maps, strict=True)
    )
    return Findings("t", "1", each, dict.fromkeys(CLASSES, 0.9), "hemorrhage", None, None, Timings(0.0, 0.0, 0.0), ())


def disc(rows, columns, centre, radius_px) -> NDArray[np.bool_]:
    y, x = np.mgrid[:rows, :columns]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius_px**2
