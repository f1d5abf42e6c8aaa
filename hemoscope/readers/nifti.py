"""NIfTI -> slices in Hounsfield units.

In: a stream with a NIfTI-1 or NIfTI-2 file, packed with gzip or not. Out: a `NiftiVolume` of axial slices in patient
coordinates as DICOM has them (x to the patient's left, y to the back, z to the head), decoded one at a time; or
`BadScan` with a sentence. https://nifti.nimh.nih.gov/nifti-1
"""

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hemoscope.errors import BadScan
from hemoscope.readers.hounsfield import LOWEST_HU
from hemoscope.readers.limits import MAX_BYTES, MAX_PIXELS, refuse_absurd_size
from hemoscope.readers.quiet import quiet
from hemoscope.scan import AIR_HU

HEAD_BYTES = 544  # of a header: 348 in NIfTI-1, 540 in NIfTI-2
_DAMAGED = "The NIfTI file is damaged or cut off: its header and its voxels do not fit together."
_TO_MM = {"meter": 1000.0, "micron": 0.001}
_AIR_HU = -500.0  # at least one voxel in a hundred of a CT of the head is air
_AIR_SHARE = 0.01
_BONE_HU = 150.0  # there is some in any head
_SAMPLE = 9  # slices that are looked at for this
_HIGHEST_HU = 32_767.0  # metal in scanners with an extended range; more is no CT
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI's x goes to the right and y to the front


@dataclass(frozen=True)
class NiftiVolume:
    """A NIfTI file whose header was read; the voxels are read slice by slice.

    Attributes:
        slices, rows, columns: the grid after the axes were ordered: slices along the axis nearest to head-feet, rows
            along the one nearest to front-back, columns along the one nearest to left-right.
        spacing_mm: between rows and between columns.
        positions_mm: of each slice's first pixel, in DICOM's coordinates.
        orientation: direction cosines along a row and down a column, in DICOM's coordinates.
        axes: which axis of the file is that of slices, rows and columns.
        needed_bytes: how long the file is, unpacked, up to its last voxel.
        packed: whether it is compressed with gzip.
    """

    slices: int
    rows: int
    columns: int
    spacing_mm: tuple[float, float]
    positions_mm: tuple[tuple[float, float, float], ...]
    orientation: tuple[float, ...]
    axes: tuple[int, int, int]
    needed_bytes: int
    packed: bool

    def hounsfield(self, stream: IO[bytes]) -> Iterator[NDArray[np.float32]]:
        """Each slice, float32 (rows, columns).

        Args:
            stream: the file at its beginning. It must stay open while slices are taken.

        Raises:
            BadScan: where voxels are missing or no number, or the volume cannot be CT.
        """
        with self._unpacked(stream) if self.packed else nullcontext(stream) as source:
            image = _image(source)
            self._refuse_other_values(image)
            for index in range(self.slices):
                hu = self._slice(image, index)
                np.copyto(hu, np.float32(AIR_HU), where=hu < LOWEST_HU)
                yield hu

    def _refuse_other_values(self, image: Any) -> None:
        """NIfTI names no modality, so the values of some slices decide, from the first to the last."""
        sample = np.unique(np.linspace(0, self.slices - 1, _SAMPLE).round().astype(int))
        lowest, highest, air, bone = np.inf, -np.inf, 0.0, 0.0
        for index in sample:
            hu = self._slice(image, int(index))
            lowest, highest = min(lowest, float(hu.min())), max(highest, float(hu.max()))
            air += float(np.mean(hu < _AIR_HU)) / len(sample)
            bone = max(bone, float(np.mean(hu > _BONE_HU)))
        if air < _AIR_SHARE or bone == 0 or highest > _HIGHEST_HU:
            raise BadScan(
                f"The values of the NIfTI volume go from {lowest:g} to {highest:g}: these are no Hounsfield units of a "
                "head, in which air is near -1000 and bone far above 100."
            )

    @contextmanager
    def _unpacked(self, stream: IO[bytes]) -> Iterator[IO[bytes]]:
        """The file in a temporary one without a name: slices along any axis need no second unpacking."""
        with tempfile.TemporaryFile() as file:
            source, missing = gzip.GzipFile(fileobj=stream), self.needed_bytes
            try:
                while missing > 0 and (piece := source.read(min(missing, 2**20))):
                    file.write(piece)
                    missing -= len(piece)
            except (OSError, EOFError, zlib.error):
                raise BadScan(_DAMAGED) from None
            file.seek(0)
            yield file

    def _slice(self, image: Any, index: int) -> NDArray[np.float32]:
        along, down, across = self.axes
        where: list[Any] = [slice(None)] * 3 + [0] * (len(image.shape) - 3)
        where[along] = index
        try:
            with quiet():
                voxels = np.asarray(image.dataobj[tuple(where)])
        except (OSError, EOFError, ValueError, zlib.error):
            raise BadScan(_DAMAGED) from None
        with np.errstate(over="ignore", invalid="ignore"):  # what no float32 holds is refused below
            hu = np.array(voxels if down < across else voxels.T, dtype=np.float32, order="C")
        if not np.isfinite(hu).all():
            raise BadScan("The NIfTI volume holds values that are no numbers: these are no Hounsfield units.")
        return hu


def read_nifti_header(stream: IO[bytes], packed: bool, max_pixels: int = MAX_PIXELS) -> NiftiVolume:
    """Read the header, and check all that it states before a voxel is unpacked.

    Args:
        stream: at its beginning.
        packed: whether it is compressed with gzip.
        max_pixels: refuse volumes with more voxels, before unpacking them.

    Raises:
        BadScan: for a damaged file, one that is not three-dimensional, too large or too small, of a type that no CT
            has, or without an orientation that says which side is left.
    """
    head = _head(stream, packed)
    if head[344:348] == b"ni1\x00" or head[4:8] == b"ni2\x00":
        raise BadScan("The NIfTI file is a header only (.hdr): save the volume as one .nii or .nii.gz file.")
    image = _image(BytesIO(head))
    shape = image.shape
    if len(shape) < 3 or any(side != 1 for side in shape[3:]):
        raise BadScan(f"The NIfTI volume is {' x '.join(map(str, shape))}: three dimensions are read, not a series.")
    dtype = image.header.get_data_dtype()
    if dtype.fields is not None or dtype.kind not in "iuf":
        raise BadScan("The NIfTI volume holds colours or complex numbers: only Hounsfield units are read.")
    affine = _affine(image)
    axes = _axes(affine)
    slices, rows, columns = (int(shape[axis]) for axis in axes)
    refuse_absurd_size(slices, rows, columns, max_pixels)
    needed = int(image.dataobj.offset) + dtype.itemsize * slices * rows * columns
    if needed > MAX_BYTES * 4:
        raise BadScan(f"The NIfTI volume unpacks to {needed // 2**20} MiB: up to {MAX_BYTES * 4 // 2**20} are read.")
    directions = [affine[:3, axis] for axis in axes]
    lengths = [float(np.linalg.norm(direction)) for direction in directions]
    across, down = directions[2] / lengths[2], directions[1] / lengths[1]
    if abs(float(across @ down)) > 0.01:
        raise BadScan("The rows and columns of the NIfTI volume are not at right angles: it cannot be read as slices.")
    return NiftiVolume(
        slices=slices,
        rows=rows,
        columns=columns,
        spacing_mm=(lengths[1], lengths[2]),
        positions_mm=tuple(_place(affine[:3, 3] + index * directions[0]) for index in range(slices)),
        orientation=(*map(float, across), *map(float, down)),
        axes=axes,
        needed_bytes=needed,
        packed=packed,
    )


def _head(stream: IO[bytes], packed: bool) -> bytes:
    try:
        return gzip.GzipFile(fileobj=stream).read(HEAD_BYTES) if packed else stream.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        raise BadScan(_DAMAGED) from None


def _image(stream: Any) -> Any:
    """nibabel's image, whose voxels are read from the stream when they are asked for."""
    import nibabel  # 0.4 s, which a study without NIfTI does not pay

    second = stream.read(8)[4:] == b"n+2\x00"
    stream.seek(0)
    try:
        with quiet():
            return (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_stream(stream)
    except Exception:  # nibabel raises anything for damaged headers, and its words quote them
        raise BadScan(_DAMAGED) from None


def _affine(image: Any) -> NDArray[np.float64]:
    """From voxels to DICOM's coordinates in millimetres."""
    header = image.header
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        raise BadScan(
            "The NIfTI volume states no orientation (sform and qform codes are 0): which side is left cannot be told."
        )
    affine: NDArray[np.float64] = _LPS @ np.asarray(image.affine, float)
    try:
        unit = str(header.get_xyzt_units()[0])
    except KeyError:
        raise BadScan(_DAMAGED) from None
    affine[:3] *= _TO_MM.get(unit, 1.0)
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and (sides > 0.01).all() and (sides < 50).all()):
        raise BadScan("The NIfTI volume states no voxel size that a CT has: 0.01 to 50 mm are read.")
    return affine


def _axes(affine: NDArray[np.float64]) -> tuple[int, int, int]:
    """Which axis of the file runs nearest to head-feet, front-back and left-right."""
    from nibabel.orientations import io_orientation

    nearest = io_orientation(affine)[:, 0]  # type: ignore[no-untyped-call]
    if np.isnan(nearest).any():
        raise BadScan("The axes of the NIfTI volume lie in one plane: it cannot be read as slices.")
    order = [int(np.flatnonzero(nearest == axis)[0]) for axis in (2, 1, 0)]
    return order[0], order[1], order[2]


def _place(position: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = map(float, position)
    return x, y, z
