"""What the viewer asks of a study, and a study held in memory.

In: a key. Out: an `Outline` with everything but pixels, and single slices by index, so that a source may keep the
pixels wherever it likes and load one slice at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import HemoscopeError
from hemoscope.findings import Finding, SliceFindings
from hemoscope.labels import ANY
from hemoscope.measuring.values import MidlineShift
from hemoscope.scan import Scan

HEAT_SIDE_PX = 64  # Grad-CAM comes from a coarse grid
STORED = np.iinfo(np.int16)
HEAD_ABOVE_HU = -300  # skin, fat and bone lie above it, air below

Position = tuple[float, float, float]


class UnknownStudy(HemoscopeError):
    """There is no study of that key."""

    status = 404


@dataclass(frozen=True)
class SliceOutline:
    """One slice without its pixels.

    Attributes:
        position_mm: see `Scan.positions_mm`; None where unknown.
        probabilities: by class, 0..1; None for a class that the model does not assess.
        finding: the decision on this slice.
        area_px: pixels of blood; None for a model that gives no mask.
        heat: whether there is a heat map.
        head_mm2: how much of the slice is head, which says how far along the head it lies; None where unknown.
    """

    position_mm: Position | None
    probabilities: Mapping[str, float | None]
    finding: Finding
    area_px: int | None
    heat: bool
    head_mm2: float | None = None


@dataclass(frozen=True)
class Outline:
    """A study without its pixels.

    Attributes:
        title: what a person calls it; never a patient's name unless the page may show it.
        rows, columns: of every slice.
        spacing_mm: (between rows, between columns), or None where unknown.
        orientation: six direction cosines (DICOM PS3.3 C.7.6.2.1.1), or None.
        slices: in the order of the scan.
        model: name and version of what read it.
        prior: the key of an earlier study of the same patient; empty where there is none.
        notes: what the reader does not know, in sentences.
        midline: the shift of the midline, drawn over its slice; None where it was not measured.
    """

    title: str
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None
    orientation: tuple[float, ...] | None
    slices: tuple[SliceOutline, ...]
    model: str
    prior: str = ""
    notes: tuple[str, ...] = ()
    midline: MidlineShift | None = None


class Study(Protocol):
    """One study that was read. Indices count from 0."""

    @property
    def outline(self) -> Outline:
        """Everything but pixels."""

    def hu(self, index: int) -> NDArray[np.int16]:
        """Hounsfield units of one slice, (rows, columns)."""

    def mask(self, index: int) -> NDArray[np.uint8] | None:
        """0 for no blood, else 1 + the place in `labels.CLASSES` of what is there, (rows, columns); 1 is blood of a
        kind that the model does not tell apart. None for a model that gives no mask."""

    def heat(self, index: int) -> NDArray[np.uint8] | None:
        """Grad-CAM of any hemorrhage, 0..255 of its largest, on a coarse grid over the whole slice; or None."""


class StudySource(Protocol):
    """Where studies come from."""

    def study(self, key: str) -> Study:
        """The study of that key.

        Raises:
            UnknownStudy: if there is none.
        """


class HeldStudy:
    """A study in memory: two bytes a pixel for the scan, one for the masks."""

    def __init__(
        self, title: str, scan: Scan, findings: Sequence[SliceFindings], model: str, prior: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._hu = [whole_hu(one) for one in scan.hu]
        self._masks = [coded_mask(found) for found in findings]
        self._heats = [coarse_heat(found) for found in findings]
        self.outline = Outline(
            title=title,
            rows=scan.hu.shape[1],
            columns=scan.hu.shape[2],
            spacing_mm=scan.spacing_mm,
            orientation=scan.orientation,
            slices=slice_outlines(scan, findings),
            model=model,
            prior=prior,
            notes=notes,
        )

    def hu(self, index: int) -> NDArray[np.int16]:
        return self._hu[index]

    def mask(self, index: int) -> NDArray[np.uint8] | None:
        return self._masks[index]

    def heat(self, index: int) -> NDArray[np.uint8] | None:
        return self._heats[index]


def slice_outlines(scan: Scan, findings: Sequence[SliceFindings]) -> tuple[SliceOutline, ...]:
    """The slices of a scan without their pixels."""
    positions: Sequence[Position | None] = scan.positions_mm or [None] * len(scan.hu)
    return tuple(
        SliceOutline(
            position, dict(found.probabilities), found.finding, found.area_px, ANY in found.heat, _head_mm2(scan, index)
        )
        for index, (position, found) in enumerate(zip(positions, findings, strict=True))
    )


def _head_mm2(scan: Scan, index: int) -> float | None:
    if scan.pixel_area_mm2 is None:
        return None
    return round(np.count_nonzero(scan.hu[index] > HEAD_ABOVE_HU) * scan.pixel_area_mm2, 1)


def whole_hu(hu: NDArray[np.float32]) -> NDArray[np.int16]:
    """Hounsfield units as the viewer gets them: whole, and within 16 bits."""
    return np.rint(np.clip(hu, STORED.min, STORED.max)).astype(np.int16)


def coded_mask(found: SliceFindings) -> NDArray[np.uint8] | None:
    """The codes of `Study.mask`."""
    if found.mask is None:
        return None
    coded = found.mask.astype(np.uint8)
    if found.subtype_map is not None:
        coded += found.subtype_map * coded  # its 1 is the first subtype, which follows `any` in the classes
    return coded


def coarse_heat(found: SliceFindings) -> NDArray[np.uint8] | None:
    """The heat map of any hemorrhage as in `Study.heat`."""
    import cv2

    if ANY not in found.heat:
        return None
    size = (HEAT_SIDE_PX, HEAT_SIDE_PX)
    coarse = cv2.resize(np.asarray(found.heat[ANY]), size, interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(coarse, 0, 1) * 255).astype(np.uint8)
