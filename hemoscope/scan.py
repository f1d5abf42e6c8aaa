"""`Scan`: what every reader gives and every other part takes.

In: arrays and facts from a reader. Out: a checked, immutable value. Axes: (slices, rows, columns), rows from the top
of the picture down, columns from its left to its right, as stored; nothing is flipped or resampled here.
"""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadRequest

AIR_HU = -1000.0


@dataclass(frozen=True)
class Window:
    """A display window in Hounsfield units: `level` is its centre, `width` its whole width (> 0)."""

    level: float
    width: float

    @property
    def lowest_hu(self) -> float:
        return self.level - self.width / 2

    @property
    def highest_hu(self) -> float:
        return self.level + self.width / 2

    def holds(self, other: "Window") -> bool:
        """Whether a picture in this window shows all that the other window would."""
        return self.lowest_hu <= other.lowest_hu and other.highest_hu <= self.highest_hu

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `LEVEL/WIDTH`, for example `40/80`.

        Raises:
            BadRequest: for anything else, or a width that is not positive and finite.
        """
        try:
            level, width = (float(part) for part in text.split("/"))
        except ValueError:
            raise BadRequest(f"A window is written LEVEL/WIDTH, for example 40/80; got {text!r}.") from None
        if not (np.isfinite(level) and np.isfinite(width) and 0 < width <= 10_000 and abs(level) <= 10_000):
            raise BadRequest(
                f"A window needs a level within ±10000 HU and a width above 0 and up to 10000 HU; got {text!r}."
            )
        return cls(level, width)

    def __str__(self) -> str:
        return f"{self.level:g}/{self.width:g}"


BRAIN = Window(40, 80)


@dataclass(frozen=True)
class ScanFacts:
    """Facts about the patient and the study that a header states; empty where it states none. Never logged."""

    patient_id: str = ""
    patient_id_issuer: str = ""
    patient_name: str = ""
    patient_sex: str = ""
    patient_age: str = ""
    study_uid: str = ""
    series_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    series_description: str = ""
    manufacturer: str = ""
    convolution_kernel: str = ""


@dataclass(frozen=True)
class Scan:
    """One or more CT slices in Hounsfield units.

    Attributes:
        hu: float32 (slices, rows, columns), Hounsfield units; padding is air (-1000).
        calibrated: True where the values are Hounsfield units by a header; False where they were derived from a
            picture's grey values through `window`.
        window: the window that a picture was drawn in; None for calibrated scans. Values outside it were lost.
        spacing_mm: (between rows, between columns) of pixel centres in millimetres, or None where unknown.
        positions_mm: one (x, y, z) a slice, the centre of its first pixel in patient coordinates (DICOM PS3.3
            C.7.6.2.1.1), or None where unknown.
        orientation: six direction cosines, along a row and then down a column (same section), or None.
        slice_thickness_mm: as stated by the header, or None.
        instance_uids: the SOP Instance UID of each slice's file, or None where there is none or a slice was made of
            several. The frames of one file share theirs.
        frame_of_reference_uid: whose coordinates the positions are in (PS3.3 C.7.4.1); empty where not stated.
        facts: patient and study facts.
        notes: what a reader of the result should know about the input, in sentences.
    """

    hu: NDArray[np.float32]
    calibrated: bool
    window: Window | None = None
    spacing_mm: tuple[float, float] | None = None
    positions_mm: tuple[tuple[float, float, float], ...] | None = None
    orientation: tuple[float, ...] | None = None
    slice_thickness_mm: float | None = None
    instance_uids: tuple[str, ...] | None = None
    frame_of_reference_uid: str = ""
    facts: ScanFacts = field(default_factory=ScanFacts)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.float32 or 0 in self.hu.shape:
            raise ValueError(f"hu must be float32 (slices, rows, columns), got {self.hu.dtype} {self.hu.shape}")
        if self.positions_mm is not None and len(self.positions_mm) != len(self.hu):
            raise ValueError(f"{len(self.positions_mm)} positions for {len(self.hu)} slices")
        if self.instance_uids is not None and len(self.instance_uids) != len(self.hu):
            raise ValueError(f"{len(self.instance_uids)} instance UIDs for {len(self.hu)} slices")
        if self.calibrated == (self.window is not None):
            raise ValueError("a window belongs to an uncalibrated scan, and only to it")

    @property
    def pixel_area_mm2(self) -> float | None:
        """Area of one pixel in mm², or None where the spacing is unknown."""
        return None if self.spacing_mm is None else self.spacing_mm[0] * self.spacing_mm[1]
