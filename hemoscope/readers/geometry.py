"""Where the pixels of a DICOM file lie in the patient.

In: a parsed `Header`. Out: spacing, positions, orientation and thickness in millimetres, None where unknown.
"""

from dataclasses import dataclass

import numpy as np

from hemoscope.errors import BadScan
from hemoscope.readers.elements import Header

_LARGEST_SPACING_MM = 10.0


@dataclass(frozen=True)
class Geometry:
    """The fields of `Scan` with the same names, and `notes` for what the header lacks."""

    spacing_mm: tuple[float, float] | None
    positions_mm: tuple[tuple[float, float, float], ...] | None
    orientation: tuple[float, ...] | None
    slice_thickness_mm: float | None
    notes: tuple[str, ...]


def geometry_of(header: Header, frames: int) -> Geometry:
    """Read the image plane (PS3.3 C.7.6.2) or the functional groups of an enhanced image (C.7.6.16.2).

    Raises:
        BadScan: where the frames of one file differ in spacing or orientation.
    """
    notes: list[str] = []
    spacing = _common(header, frames, "PixelMeasuresSequence", "PixelSpacing", 2)
    if spacing is not None and not all(0 < side <= _LARGEST_SPACING_MM for side in spacing):
        spacing = None
    if spacing is None:
        notes.append("Pixel Spacing (0028,0030) is missing or makes no sense: areas in mm² are unknown.")
    orientation = _common(header, frames, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    if orientation is not None and not _is_a_plane(orientation):
        orientation = None
    if orientation is not None and abs(np.cross(orientation[:3], orientation[3:])[2]) < 0.7:
        notes.append("The slices are not axial (Image Orientation (0020,0037)), but the models were trained on those.")
    thickness = _common(header, 1, "PixelMeasuresSequence", "SliceThickness", 1)
    return Geometry(
        spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        positions_mm=_positions(header, frames),
        orientation=orientation,
        slice_thickness_mm=thickness[0] if thickness is not None and thickness[0] > 0 else None,
        notes=tuple(notes),
    )


def _common(header: Header, frames: int, group: str, keyword: str, count: int) -> tuple[float, ...] | None:
    first = header.frame_numbers(0, group, keyword, count)
    if any(header.frame_numbers(index, group, keyword, count) != first for index in range(1, frames)):
        raise BadScan(f"{keyword} changes from frame to frame within the file: export one stack at a time.")
    return first


def _positions(header: Header, frames: int) -> tuple[tuple[float, float, float], ...] | None:
    places = [header.frame_numbers(i, "PlanePositionSequence", "ImagePositionPatient", 3) for i in range(frames)]
    known = [(place[0], place[1], place[2]) for place in places if place is not None]
    if len(known) != frames or (frames > 1 and not header.has("PerFrameFunctionalGroupsSequence")):
        return None  # one position cannot be that of several frames
    return tuple(known)


def _is_a_plane(orientation: tuple[float, ...]) -> bool:
    """Two unit vectors at right angles, with room for rounding."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    return bool(
        abs(np.linalg.norm(row) - 1) < 0.01 and abs(np.linalg.norm(column) - 1) < 0.01 and abs(row @ column) < 0.01
    )
