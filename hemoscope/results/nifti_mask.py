"""NIfTI-1: a mask with its place in the patient, for research programs.

In: a mask on a scan and the scan's geometry. Out: the bytes of a `.nii.gz`. Axes of the file are columns, rows and
slices as they are stored, slices rising along their normal; the affine leads to millimetres, x to the right, y to the
front and z to the head (RAS; DICOM's x and y point the other way, LPS).

A tilted gantry shears the stack, and the affine says so: its third column is the way from slice to slice, not the
normal. One affine cannot say uneven spacing: such a stack is written on an even grid with the smallest of its gaps,
where each plane has the mask of the nearest slice.
"""

import gzip
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.scan import Scan

EVEN_MM = 0.05  # gaps that differ by less are those of an even stack: headers round
ASIDE_MM = 0.5  # how far a slice may lie beside the line through the first and the last one
MOST_PLANES = 2048
_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def nifti_mask(labels: NDArray[np.uint8], scan: Scan) -> bytes:
    """Write a mask or labels.

    Args:
        labels: uint8 (slices, rows, columns) on the scan's grid, for example `Blood.labels`.
        scan: with spacing, positions and orientation. A single slice is as thick as its header says, or 1 mm.

    Raises:
        BadScan: where the scan's geometry is unknown, two slices lie in the same place, or the slices do not lie in one
            line.
    """
    import nibabel

    if labels.shape != scan.hu.shape:
        raise ValueError(f"labels {labels.shape} do not lie on the scan {scan.hu.shape}")
    order, positions_mm = _along_the_normal(scan)
    chosen, step_mm = _even_planes(positions_mm) if len(order) > 1 else ([0], _single_step(scan))
    affine = _affine(scan, positions_mm[0], step_mm)
    nifti: Any = nibabel.Nifti1Image  # its methods have no types
    planes = order[chosen]
    in_order = np.array_equal(planes, np.arange(len(labels)))  # then no copy is needed, a byte a pixel
    image = nifti((labels if in_order else labels[planes]).transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"Hemoscope: blood. Research use, not a medical device"
    image.set_sform(affine, code="scanner")
    # A quaternion holds no shear: a tilted stack has the affine alone.
    image.set_qform(affine, code="unknown" if _is_sheared(affine) else "scanner")
    packed = BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:  # plane by plane: no copy of the whole
        image.to_stream(stream)
    return packed.getvalue()


def _along_the_normal(scan: Scan) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The order of the slices along their normal, and their positions (slices, 3) in this order."""
    if scan.spacing_mm is None or scan.positions_mm is None or scan.orientation is None:
        raise BadScan("The scan does not tell where its slices lie: no NIfTI mask can be placed.")
    positions_mm = np.array(scan.positions_mm, float)
    heights_mm = positions_mm @ np.cross(scan.orientation[:3], scan.orientation[3:])
    order = np.argsort(heights_mm, kind="stable")
    if len(order) > 1 and np.diff(heights_mm[order]).min() < EVEN_MM:
        raise BadScan("Two slices lie in the same place: no NIfTI mask can be made of them.")
    return order, positions_mm[order]


def _even_planes(positions_mm: NDArray[np.float64]) -> tuple[list[int], NDArray[np.float64]]:
    """Which slice each plane of an even grid takes, and the step in mm from plane to plane."""
    way = positions_mm[-1] - positions_mm[0]
    length = float(np.linalg.norm(way))
    along_mm = (positions_mm - positions_mm[0]) @ way / length
    aside_mm = positions_mm - positions_mm[0] - np.outer(along_mm / length, way)
    if np.linalg.norm(aside_mm, axis=1).max() > ASIDE_MM:
        raise BadScan("The slices do not lie in one line: no NIfTI mask can be made of them.")
    gaps = np.diff(along_mm)
    if np.ptp(gaps) <= EVEN_MM:
        return list(range(len(positions_mm))), way / len(gaps)
    count = round(length / gaps.min()) + 1
    if count > MOST_PLANES:
        raise BadScan(f"The slices are so uneven that an even grid would need {count} planes.")
    places = np.linspace(0, length, count)
    return [int(np.abs(along_mm - place).argmin()) for place in places], way / (count - 1)


def _single_step(scan: Scan) -> NDArray[np.float64]:
    assert scan.orientation is not None
    normal: NDArray[np.float64] = np.cross(scan.orientation[:3], scan.orientation[3:])
    return normal * (scan.slice_thickness_mm or 1.0)


def _affine(scan: Scan, origin_mm: NDArray[np.float64], step_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """From (column, row, plane) to RAS millimetres (4, 4)."""
    assert scan.spacing_mm is not None and scan.orientation is not None
    along_row, down_column = np.array(scan.orientation[:3]), np.array(scan.orientation[3:])
    affine = np.eye(4)
    columns = (along_row * scan.spacing_mm[1], down_column * scan.spacing_mm[0], step_mm, origin_mm)
    affine[:3] = _TO_RAS @ np.stack(columns, axis=1)
    return affine


def _is_sheared(affine: NDArray[np.float64]) -> bool:
    sides = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(sides.T @ sides - np.eye(3)).max() > 1e-3)
