"""Bytes -> `Scan`. The one door through which images come in; everything behind it trusts what it gives.

In: the bytes of a DICOM CT file or of a picture of a slice (PNG, JPEG, WebP, TIFF, BMP), whatever its name. Out: a
`Scan`, or `BadScan` with a sentence for the person who sent it. Nothing else is ever raised, nothing is written or
logged.
"""

from pathlib import Path

from hemoscope.errors import BadScan
from hemoscope.readers.dicom import read_dicom
from hemoscope.readers.kinds import kind_of
from hemoscope.readers.limits import MAX_BYTES, MAX_PIXELS
from hemoscope.readers.picture import read_picture
from hemoscope.scan import BRAIN, Scan, Window

__all__ = ["MAX_BYTES", "MAX_PIXELS", "read_bytes", "read_file"]


def read_bytes(data: bytes, name: str = "", window: Window = BRAIN, *, max_pixels: int = MAX_PIXELS) -> Scan:
    """Read a scan from the bytes of one file.

    Args:
        data: the file. Its kind is found by content.
        name: the file's name, for messages only.
        window: what a picture was drawn in; DICOM states Hounsfield units and needs none.
        max_pixels: refuse scans with more pixels, before decoding them. A float32 scan takes 4 bytes a pixel.

    Raises:
        BadScan: where the bytes are not a CT slice that can be read; says why.
    """
    if len(data) > MAX_BYTES:
        raise BadScan(f"The file has {len(data) // 2**20} MiB: up to {MAX_BYTES // 2**20} MiB are read.")
    if kind_of(data, name) == "dicom":
        return read_dicom(data, max_pixels)
    return read_picture(data, window, max_pixels)


def read_file(path: Path, window: Window = BRAIN, *, max_pixels: int = MAX_PIXELS) -> Scan:
    """Read a scan from a file; see `read_bytes`.

    Raises:
        BadScan: also where the file cannot be opened or is too large, without reading it.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadScan(f"The file has {size // 2**20} MiB: up to {MAX_BYTES // 2**20} MiB are read.")
        data = path.read_bytes()
    except OSError as error:
        raise BadScan(f"The file cannot be opened: {error.strerror or 'unknown reason'}.") from None
    return read_bytes(data, path.name, window, max_pixels=max_pixels)
